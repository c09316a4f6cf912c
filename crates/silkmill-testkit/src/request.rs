//! Parses the head of a request.

/// A request of a client.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// The head as it was sent.
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    /// Returns the method, such as `GET`, as it was sent.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path and the query, as they were sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the first value of a header. The case of its name does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the head as it was sent, which need not be text.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Returns the body, which is empty where the head has no `Content-Length`.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn set_body(&mut self, body: Vec<u8>) {
        self.body = body;
    }

    /// Returns the length of the body that follows the head.
    pub(crate) fn body_length(&self) -> usize {
        self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }

    /// Returns whether the client wants the connection closed after the answer.
    pub(crate) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn parse(head: &[u8]) -> Request {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, target) = (word(), word());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Request { method, target, headers, head: head.to_vec(), body: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_split_into_its_parts() {
        let request = Request::parse(b"GET /a?b=1 HTTP/1.1\r\nHost: x\r\nAccept:  */*\r\n\r\n");

        assert_eq!((request.method(), request.target(), request.path()), ("GET", "/a?b=1", "/a"));
        assert_eq!(request.header("accept"), Some("*/*"));
        assert!(!request.wants_close());
    }
}
