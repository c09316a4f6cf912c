//! Stands in for the extractor until it is merged.
#[derive(Debug)]
pub struct Field(String);
#[derive(Debug)]
pub struct FieldError;
impl Field {
    pub fn xpath(s: &str) -> Result<Field, FieldError> {
        Ok(Field(s.to_owned()))
    }
    pub fn css(s: &str) -> Result<Field, FieldError> {
        Ok(Field(s.to_owned()))
    }
    pub fn name(&self) -> &str {
        &self.0
    }
}
impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("field")
    }
}
impl std::error::Error for FieldError {}
#[derive(Debug)]
pub struct Extractor(Vec<Field>);
#[derive(Debug)]
pub struct Extracted {
    pub title: Option<String>,
    pub fields: Vec<(String, Vec<String>)>,
    pub charset: &'static str,
    pub truncated: bool,
}
impl Extractor {
    pub fn new(f: Vec<Field>) -> Result<Extractor, FieldError> {
        Ok(Extractor(f))
    }
    pub fn extract(&self, body: &[u8], _c: Option<&str>) -> Extracted {
        let t = String::from_utf8_lossy(body);
        let title = t
            .split_once("<title>")
            .and_then(|(_, r)| r.split_once("</title>"))
            .map(|(t, _)| t.to_owned());
        Extracted {
            title,
            fields: self.0.iter().map(|f| (f.0.clone(), vec![])).collect(),
            charset: "UTF-8",
            truncated: false,
        }
    }
}
