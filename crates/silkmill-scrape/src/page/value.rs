//! One value of a field: the text of a node, or a computed string, number or boolean.

use std::fmt;

/// One value of a field.
///
/// A node gives its text. Only an XPath that computes something gives a number or a boolean:
/// `count(//a)`, `//h1 = 'Mills'`. As text they are what XPath's `string()` makes of them.
///
/// ```
/// use silkmill_scrape::Value;
///
/// assert_eq!(Value::Number(3.0).to_string(), "3");
/// assert_eq!(Value::Boolean(true).to_string(), "true");
/// assert_eq!(Value::from("silk").to_string(), "silk");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The text of a node, or a string that was computed.
    Text(String),
    /// A number, which may be infinite or NaN.
    Number(f64),
    /// A boolean.
    Boolean(bool),
}

/// The type of the values of a field, whatever the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// [`Value::Text`]: nodes, or a string.
    Text,
    /// One [`Value::Number`].
    Number,
    /// One [`Value::Boolean`].
    Boolean,
}

impl Value {
    /// Returns the type of the value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Value::Text(_) => ValueType::Text,
            Value::Number(_) => ValueType::Number,
            Value::Boolean(_) => ValueType::Boolean,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Boolean(truth) => write!(f, "{truth}"),
            Value::Number(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            // XPath has no negative zero in its strings.
            Value::Number(number) => write!(f, "{}", if *number == 0.0 { 0.0 } else { *number }),
        }
    }
}

#[cfg(test)]
impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.to_string() == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_xpath_writes_them() {
        for (number, text) in [
            (3.0, "3"),
            (-0.0, "0"),
            (0.25, "0.25"),
            (-1.5, "-1.5"),
            (1e21, "1000000000000000000000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Value::Number(number).to_string(), text);
        }
    }
}
