//! Cookies in a file, in the format that Netscape's browser used and every tool writes: one cookie
//! a line, in seven columns that tabs separate. Bytes in, values out.

use crate::fetch::cookie::Cookie;

/// The word before the domain of a cookie that scripts cannot read.
const HTTP_ONLY: &[u8] = b"#HttpOnly_";
const HEADER: &[u8] = b"# Netscape HTTP Cookie File\n";

/// Parses a file. An error is the number of the first line that is no cookie, from 1.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Cookie>, usize> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut cookies = Vec::new();
    for (index, line) in file.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (line, http_only) = match line.strip_prefix(HTTP_ONLY) {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let is_comment = line.trim_ascii().is_empty() || (line.starts_with(b"#") && !http_only);
        if !is_comment {
            cookies.push(cookie(line, http_only).ok_or(index + 1)?);
        }
    }
    Ok(cookies)
}

fn cookie(line: &[u8], http_only: bool) -> Option<Cookie> {
    let mut columns = line.splitn(7, |&byte| byte == b'\t');
    let mut text = || columns.next().and_then(|column| std::str::from_utf8(column).ok());
    let (domain, subdomains, path, secure) = (text()?, text()?, text()?, text()?);
    // Some programs write a fraction.
    let expires: i64 = text()?.split('.').next()?.parse().ok()?;
    let name = columns.next()?.to_vec();
    let value = columns.next().unwrap_or_default().to_vec();
    let host = domain.trim_start_matches('.').to_ascii_lowercase();
    let is_text = |bytes: &[u8]| !bytes.iter().any(u8::is_ascii_control);
    // Where the host begins with a number sign, the line would be a comment.
    if host.is_empty()
        || host.starts_with('#')
        || name.is_empty()
        || !is_text(&name)
        || !is_text(&value)
    {
        return None;
    }
    Some(Cookie {
        name,
        value,
        host,
        with_subdomains: flag(subdomains)?,
        path: if path.starts_with('/') { path.to_owned() } else { "/".to_owned() },
        secure: flag(secure)?,
        http_only,
        // 0 stands for a cookie that ends with the browser's session.
        expires: (expires > 0).then_some(expires),
    })
}

fn flag(word: &str) -> Option<bool> {
    match word {
        _ if word.eq_ignore_ascii_case("true") => Some(true),
        _ if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Writes a file.
pub(super) fn write<'a>(cookies: impl Iterator<Item = &'a Cookie>) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    for cookie in cookies {
        if cookie.http_only {
            file.extend_from_slice(HTTP_ONLY);
        }
        let dot = if cookie.with_subdomains { "." } else { "" };
        let flag = |yes| if yes { "TRUE" } else { "FALSE" };
        let columns = format!(
            "{dot}{}\t{}\t{}\t{}\t{}\t",
            cookie.host,
            flag(cookie.with_subdomains),
            cookie.path,
            flag(cookie.secure),
            cookie.expires.unwrap_or(0),
        );
        file.extend_from_slice(columns.as_bytes());
        for part in [&cookie.name[..], b"\t", &cookie.value, b"\n"] {
            file.extend_from_slice(part);
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_written_again() {
        let file = "# Netscape HTTP Cookie File\n\
                    .a.test\tTRUE\t/\tFALSE\t0\tk\tv\n\
                    #HttpOnly_b.test\tFALSE\t/x\tTRUE\t2147483647\tl\t\n";

        let cookies = parse(file.as_bytes()).unwrap();

        assert_eq!(cookies.len(), 2);
        assert_eq!((&*cookies[0].host, cookies[0].with_subdomains), ("a.test", true));
        assert_eq!((cookies[1].http_only, cookies[1].secure), (true, true));
        assert_eq!(cookies[1].expires, Some(2_147_483_647));
        assert_eq!(write(cookies.iter()), file.as_bytes());
    }

    #[test]
    fn other_programs_write_it_a_little_differently() {
        let file = b"\xef\xbb\xbf# comment\r\n\r\nA.test\ttrue\t/\tfalse\t12.5\tk\xe9\r\n  \n";

        let cookies = parse(file).unwrap();

        assert_eq!((cookies.len(), &*cookies[0].host), (1, "a.test"));
        assert_eq!((&*cookies[0].name, &*cookies[0].value), (&b"k\xe9"[..], &b""[..]));
        assert_eq!(cookies[0].expires, Some(12));
    }

    #[test]
    fn a_line_that_is_no_cookie_is_named() {
        for line in [
            "x",
            "a.test\tTRUE\t/",
            "a.test\tyes\t/\tFALSE\t0\tk\tv",
            ".#a.test\tTRUE\t/\tFALSE\t0\tk\tv",
            "\tTRUE\t/\tFALSE\t0\tk\tv",
        ] {
            let file = format!("# comment\n{line}\n");
            assert_eq!(parse(file.as_bytes()), Err(2), "{line}");
        }
    }
}
