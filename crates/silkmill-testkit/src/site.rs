//! A site with everything in it that leads a crawler somewhere, or astray, and the rows that a
//! crawl of it has.
//!
//! What a page leads to is written down beside its HTML and not read from it, so that the answer
//! does not depend on any parser.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use crate::reply::Reply;
use crate::request::Request;
use crate::server::Server;

/// What its robots.txt says: what is forbidden, and where sitemaps are.
const ROBOTS: &str = "User-agent: *\nDisallow: /private\nAllow: /private/open\nDisallow: /*.pdf$\n\n\
                      User-agent: other\nDisallow: /\n\nSitemap: {base}/maps/index.xml\n\
                      Sitemap: {base}/maps/index.xml\n";

/// A part of the path of a page that a crawl must exclude, as the regex `[?&;]sid=`: each visit of
/// such a page finds new ones.
const SESSION: &str = "sid=";

/// A site, and how many pages its catalogue has.
///
/// ```
/// let site = silkmill_testkit::Site::new(100);
/// let rows = site.rows(12);
/// assert_eq!(rows["/"], (0, 200));
/// assert_eq!(rows["/missing"], (1, 404));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Site {
    items: u64,
}

/// A page: what is sent, and where a crawl goes from it.
struct Page {
    reply: Reply,
    status: u16,
    leads: Vec<String>,
    /// Where it redirects to, if that is within the site.
    redirect: Option<String>,
}

impl Page {
    fn html(html: &str, leads: &[&str]) -> Page {
        Page::of(Reply::html(html), leads)
    }

    fn of(reply: Reply, leads: &[&str]) -> Page {
        let leads = leads.iter().map(|lead| (*lead).to_owned()).collect();
        Page { reply, status: 200, leads, redirect: None }
    }

    fn redirect(status: u16, location: &str, to: Option<&str>) -> Page {
        let reply = Reply::redirect(location).with_status(status);
        Page { reply, status, leads: Vec::new(), redirect: to.map(str::to_owned) }
    }
}

impl Site {
    /// Describes a site whose catalogue has so many pages.
    pub fn new(items: u64) -> Site {
        Site { items }
    }

    /// Serves the site. Nothing but its own host has to be there: links to others lead to names
    /// that cannot exist.
    ///
    /// # Errors
    ///
    /// When there is no socket or no thread left.
    pub fn start(self) -> io::Result<Server> {
        Server::start(move |request| self.answer(request))
    }

    /// Returns the depth and the status of each page that a crawl of the host has a row of, by its
    /// path and query. It begins at `/`, reads the sitemaps, obeys robots.txt and `nofollow`, and
    /// goes no deeper than `depth_max`; it excludes what matches `[?&;]sid=`.
    pub fn rows(&self, depth_max: u32) -> BTreeMap<String, (u32, u16)> {
        let listed = ["/island/usual", "/island/packed", "/island/fed"];
        let seeds = ["/"].into_iter().chain(listed).map(|path| (0, path.to_owned()));
        let mut queue: VecDeque<(u32, String)> = seeds.collect();
        let mut seen: BTreeSet<String> = queue.iter().map(|(_, path)| path.clone()).collect();
        let mut rows = BTreeMap::new();
        while let Some((depth, path)) = queue.pop_front() {
            let page = self.page(&path);
            let status = page.as_ref().map_or(404, |page| page.status);
            rows.insert(path, (depth, status));
            let Some(Page { leads, redirect, .. }) = page else { continue };
            for to in redirect.into_iter().filter(|to| seen.insert(to.clone())) {
                // It is as deep as the page that redirects to it.
                queue.push_front((depth, to));
            }
            if depth < depth_max {
                let new = leads.into_iter().filter(|to| seen.insert(to.clone()));
                queue.extend(new.map(|to| (depth + 1, to)));
            }
        }
        rows
    }

    fn answer(&self, request: &Request) -> Reply {
        let host = request.header("host").unwrap_or_default();
        let base = format!("http://{host}");
        let urlset = |paths: &[&str]| {
            let entries = paths.iter().map(|path| format!("<url><loc>{base}{path}</loc></url>"));
            format!("<urlset>{}</urlset>", entries.collect::<String>())
        };
        let map = |path: &str| format!("<sitemap><loc>{base}{path}</loc></sitemap>");
        match request.target() {
            "/robots.txt" => Reply::html(ROBOTS.replace("{base}", &base)),
            "/sitemap.xml" => Reply::html(urlset(&["/island/usual", "/private/listed", "/about"])),
            "/maps/index.xml" => Reply::html(format!(
                "<sitemapindex>{}{}{}{}</sitemapindex>",
                map("/maps/packed.xml.gz"),
                map("/maps/feed.xml"),
                map("/maps/index.xml"),
                map("/maps/missing.xml")
            )),
            "/maps/packed.xml.gz" => Reply::gzip(urlset(&["/island/packed"]).as_bytes()),
            "/maps/feed.xml" => Reply::html("<rss><item><link>/island/fed</link></item></rss>"),
            "/cookie" if request.header("cookie").is_none() => {
                Reply::redirect("/cookie").header("Set-Cookie", "seen=1")
            }
            // A session that is not known begins anew.
            target if target.contains(SESSION) => {
                Reply::html(format!("<a href='{target}{}'>again</a>", target.len()))
            }
            target => match self.page(target) {
                Some(page) => page.reply,
                None => Reply::status(404),
            },
        }
    }

    /// Returns the page at a path, with its query.
    fn page(&self, target: &str) -> Option<Page> {
        if let Some(number) = number_after(target, "/item/") {
            return (1..=self.items).contains(&number).then(|| self.item(number));
        }
        // The two that never end.
        if let Some(month) = number_after(target, "/calendar?month=") {
            let next = format!("/calendar?month={}", month + 1);
            return Some(Page::html(&format!("<a href='{next}'>next month</a>"), &[&next]));
        }
        if let Some(page) = number_after(target, "/list?page=") {
            let next = format!("/list?page={}", page + 1);
            let html = format!("<link rel=next href='{next}'><p>Nothing is on page {page}.");
            return Some(Page::html(&html, &[&next]));
        }
        usual(target).or_else(|| of_redirects(target)).or_else(|| that_says_no(target))
    }

    /// A page of the catalogue, which is a tree with links across and back.
    fn item(&self, number: u64) -> Page {
        let near = [2 * number, 2 * number + 1, number / 2, self.items - number];
        let links: Vec<String> = near
            .into_iter()
            .filter(|to| (1..=self.items).contains(to))
            .map(|to| format!("/item/{to}"))
            .collect();
        let html: String = links
            .iter()
            .map(|link| format!("<a href='{link}?'>x</a><a href='{link}'>y</a>"))
            .collect();
        let html = format!("<title>Item {number}</title>{}", html.replace("?'", "#part'"));
        Page { leads: links, ..Page::html(&html, &[]) }
    }
}

fn number_after(target: &str, start: &str) -> Option<u64> {
    target.strip_prefix(start)?.parse().ok()
}

/// The pages with every kind of link.
fn usual(target: &str) -> Option<Page> {
    Some(match target {
        "/" => Page::html(
            "<meta charset=utf-8><title>Home</title><a href=about>1</a><a href='./about#us'>2</a><a href='/x/../about'>3</a>\
             <a href='/%61bout'>4</a><a href=' /ab\tout\n'>5</a><a href=''>here</a><a href='#top'>here</a>\
             <a href=kinds>6</a><a href=based/>7</a><a href=latin>8</a><a href=moves>9</a>\
             <a href=refusals>10</a><a href=deep/>11</a><a href=missing>12</a><a href=item/1>13</a>\
             <a href='calendar?month=1'>14</a><a href='list?page=1'>15</a><a href='shop?sid=1'>16</a>\
             <a href='shop;sid=1'>17</a><a href='/café?q=a b'>18</a><a href='http://nowhere.invalid/'>19</a>\
             <a href='mailto:a@b.test'>20</a><a href='javascript:void(0)'>21</a><a href='http://[/'>22</a>\
             <a href='/about?'>23</a><a href='/About'>24</a>",
            &[
                "/about", "/kinds", "/based/", "/latin", "/moves", "/refusals", "/deep/", "/missing",
                "/item/1", "/calendar?month=1", "/list?page=1", "/caf%C3%A9?q=a%20b", "/about?",
                "/About",
            ],
        ),
        "/about" => Page::html("<title>About</title><a href=/>home</a>", &["/"]),
        "/about?" | "/About" | "/caf%C3%A9?q=a%20b" => Page::html("<p>another page", &[]),
        "/kinds" => Page::of(
            Reply::html(
                "<map><area href=area></map><iframe src=iframe></iframe><link rel=next href=series>\
                 <link rel=canonical href=canonical><link rel=alternate href=feed><img src=i.png srcset='a 1x, b 2x'>\
                 <script src=s.js></script><script>'<a href=script>'</script><!-- <a href=comment> -->\
                 <template><a href=template>t</a></template><noscript><a href=noscript>n</a></noscript>\
                 <svg><a href=svg>s</a></svg><textarea><a href=textarea></textarea>\
                 <meta http-equiv=refresh content='9;url=refreshed'><a name=x>no link</a>",
            )
            .header("Link", "<header>; rel=\"next\", </kinds-canonical>; rel=canonical")
            .header("Refresh", "5; url=refresh-header"),
            &[
                "/refresh-header", "/header", "/area", "/iframe", "/series", "/noscript", "/svg",
                "/refreshed",
            ],
        ),
        "/iframe" => Page::html("<frameset><frame src=frame></frameset>", &["/frame"]),
        "/area" | "/frame" | "/series" | "/noscript" | "/svg" | "/header" | "/refreshed"
        | "/refresh-header" => Page::html("<title>leaf</title>", &[]),
        "/based/" => Page::html(
            "<a href=before>1</a><base href=/elsewhere/><base href=/second/><a href=after>2</a>\
             <a href=?query>3</a><a href=//nowhere.invalid/x>4</a>",
            &["/elsewhere/before", "/elsewhere/after", "/elsewhere/?query"],
        ),
        "/elsewhere/before" | "/elsewhere/after" | "/elsewhere/?query" => Page::html("leaf", &[]),
        "/latin" => Page::of(
            // A query is in the encoding of the page, a path in UTF-8.
            Reply::html(b"<meta charset=windows-1252><a href='/\xe9?q=\xe9'>\xe9</a>".as_slice()),
            &["/%C3%A9?q=%E9"],
        ),
        "/%C3%A9?q=%E9" => Page::html("leaf", &[]),
        "/island/usual" => Page::html("<a href=beach>beach</a>", &["/island/beach"]),
        "/island/packed" | "/island/fed" | "/island/beach" => Page::html("leaf", &[]),
        // Links that are relative by mistake lead deeper for ever; the third in a row is one.
        "/deep/" | "/deep/deep/" => {
            let deeper = if target == "/deep/" { &["/deep/deep/"][..] } else { &[] };
            Page::html("<a href=deep/>deeper</a>", deeper)
        }
        _ => return None,
    })
}

/// The pages that redirect.
fn of_redirects(target: &str) -> Option<Page> {
    Some(match target {
        "/moves" => Page::html(
            "<a href=moved>1</a><a href=gone-out>2</a><a href=loop>3</a><a href=cookie>4</a>\
             <a href=to-section>5</a><a href=to-private>6</a><a href=no-where>7</a>",
            &["/moved", "/gone-out", "/loop", "/cookie", "/to-section", "/to-private", "/no-where"],
        ),
        "/moved" => Page::redirect(301, "/moved-on", Some("/moved-on")),
        "/moved-on" => Page::redirect(307, "moved-at-last", Some("/moved-at-last")),
        "/moved-at-last" => Page::html("<a href=behind-redirects>x</a>", &["/behind-redirects"]),
        "/gone-out" => Page::redirect(302, "http://nowhere.invalid/", None),
        "/loop" => Page::redirect(302, "/loop-back", Some("/loop-back")),
        "/loop-back" => Page::redirect(302, "/loop", Some("/loop")),
        "/to-section" => Page::redirect(303, "/section#two", Some("/section")),
        "/to-private" => Page::redirect(302, "/private/x", None),
        // Without a place to go to it is a page like any other.
        "/no-where" => Page { status: 302, ..Page::of(Reply::status(302), &[]) },
        "/behind-redirects" | "/section" | "/cookie" => Page::html("leaf", &[]),
        _ => return None,
    })
}

/// The pages that say what is not to be followed.
fn that_says_no(target: &str) -> Option<Page> {
    Some(match target {
        "/refusals" => Page::html(
            "<a href=no-1 rel=nofollow>1</a><a href=no-2 rel='noopener UGC'>2</a><a href=no-3 rel=sponsored>3</a>\
             <a href=meta>4</a><a href=tag>5</a><a href=tag-other>6</a><a href=meta-ours>7</a>\
             <a href=private/x>8</a><a href=private/open>9</a><a href=paper.pdf>10</a><a href='paper.pdf?x'>11</a>",
            &["/meta", "/tag", "/tag-other", "/meta-ours", "/private/open", "/paper.pdf?x"],
        ),
        "/meta" => {
            Page::html("<meta name=ROBOTS content='noindex, NoFollow'><a href=no-4>x</a>", &[])
        }
        "/meta-ours" => Page::html("<meta name=silkmill content=none><a href=no-5>x</a>", &[]),
        "/tag" => Page::of(
            Reply::html("<a href=no-6>x</a>").header("X-Robots-Tag", "noarchive, nofollow"),
            &[],
        ),
        "/tag-other" => Page::of(
            Reply::html("<a href=yes>x</a>").header("X-Robots-Tag", "otherbot: nofollow"),
            &["/yes"],
        ),
        "/yes" | "/private/open" | "/paper.pdf?x" => Page::html("leaf", &[]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_every_item_at_its_depth_and_no_trap() {
        let rows = Site::new(100).rows(20);
        assert!((1..=100).all(|item| rows.contains_key(&format!("/item/{item}"))));
        assert_eq!((rows["/item/1"], rows["/moved-at-last"].0), ((1, 200), 2));
        assert_eq!(rows["/island/fed"].0, 0);
        let months = rows.keys().filter(|path| path.starts_with("/calendar")).count();
        assert_eq!(months, 20);
        let is_refused =
            |path: &str| number_after(path, "/no-").is_some() || path.contains(SESSION);
        assert!(!rows.keys().any(|path| is_refused(path)));
    }
}
