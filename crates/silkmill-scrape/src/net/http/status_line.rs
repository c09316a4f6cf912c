//! Status lines that the standard does not allow and every other client reads: two spaces, a
//! version other than 1.x, text behind the status without a space.

/// The status line that is written instead, without the digits of its status.
const PLAIN: &[u8] = b"HTTP/1.1 ";

/// Returns `bytes` with the status line that the standard would have, and by how many bytes that is
/// longer. `None` when the first line is not complete, or is none of a response.
pub(super) fn rewritten(bytes: &[u8]) -> Option<(Vec<u8>, isize)> {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte))?;
    let end = start + memchr::memchr(b'\n', &bytes[start..])?;
    let (status, is_1_1) = parse(&bytes[start..end])?;
    let mut plain = Vec::with_capacity(bytes.len() + PLAIN.len());
    plain.extend_from_slice(PLAIN);
    if !is_1_1 {
        // The last digit of the version.
        plain[PLAIN.len() - 2] = b'0';
    }
    plain.extend_from_slice(status);
    plain.extend_from_slice(b" \r\n");
    let longer = plain.len() as isize - (end + 1) as isize;
    plain.extend_from_slice(&bytes[end + 1..]);
    Some((plain, longer))
}

/// Returns the three digits of the status, and whether the version is 1.1 or later: `HTTP`,
/// perhaps a version, white space, three digits.
fn parse(line: &[u8]) -> Option<(&[u8], bool)> {
    let (name, rest) = line.split_at_checked(b"HTTP".len())?;
    if !name.eq_ignore_ascii_case(b"HTTP") {
        return None;
    }
    let space = rest.iter().position(|byte| b" \t".contains(byte))?;
    let (version, rest) = rest.split_at(space);
    let is_1_1 = match version {
        b"" => false,
        [b'/', number @ ..] => is_1_1_or_later(number)?,
        _ => return None,
    };
    let (status, rest) = rest.trim_ascii_start().split_at_checked(3)?;
    let is_number = status.iter().all(u8::is_ascii_digit);
    (is_number && !rest.first().is_some_and(u8::is_ascii_digit)).then_some((status, is_1_1))
}

fn is_1_1_or_later(number: &[u8]) -> Option<bool> {
    let mut parts = number.splitn(2, |&byte| byte == b'.');
    let digits = |part: &[u8]| -> Option<u32> {
        let is_number = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        is_number.then(|| std::str::from_utf8(part).ok()?.parse().ok()).flatten()
    };
    let major = digits(parts.next()?)?;
    let minor = parts.next().map_or(Some(0), digits)?;
    Some((major, minor) >= (1, 1))
}
