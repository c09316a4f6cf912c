//! Parses JSON into values whose memory has a bound: eight bytes of text can ask for hundreds.

use std::cell::Cell;
use std::fmt;

use serde_json::de::StrRead;
use serde_json::{Deserializer, Map, Number, Value};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// The memory of the place that an object keeps for a member, beside its key and its value.
const MEMBER_MEMORY: usize = 48;

/// The memory of an object with one member, beyond that of the member: four places are made at
/// once.
const OBJECT_MEMORY: usize = 256;

/// Why a text has no values.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is not JSON.
    Syntax(serde_json::Error),
    /// It takes too much memory.
    Memory,
}

/// Parses one value after the other, and adds each to `values`.
pub(super) fn parse(text: &str, memory_max: usize, values: &mut Vec<Value>) -> Result<(), Failure> {
    let left = Cell::new(memory_max);
    let mut deserializer = Deserializer::new(StrRead::new(text));
    loop {
        if deserializer.end().is_ok() {
            return Ok(());
        }
        match (Bounded { left: &left }).deserialize(&mut deserializer) {
            Ok(value) => values.push(value),
            Err(_) if left.get() == 0 => return Err(Failure::Memory),
            Err(error) => return Err(Failure::Syntax(error)),
        }
    }
}

/// Makes a value, and takes its memory from what is left.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn take<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        self.left.set(self.left.get().saturating_sub(bytes));
        if self.left.get() == 0 { Err(E::custom("too large")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.take(size_of::<Value>())?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.take(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let first = if object.is_empty() { OBJECT_MEMORY } else { 0 };
            self.take::<A::Error>(first + MEMBER_MEMORY + key.len())?;
            let value = members.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Result<Vec<Value>, Failure> {
        let mut values = Vec::new();
        parse(text, 1 << 20, &mut values).map(|()| values)
    }

    #[test]
    fn values_may_follow_each_other() {
        assert_eq!(values("{\"a\": 1}\n[2]\n\n\"x\" ").unwrap().len(), 3);
        assert_eq!(values("  ").unwrap(), [] as [Value; 0]);
        assert!(matches!(values("{} x"), Err(Failure::Syntax(_))));
        assert!(matches!(values(&"[".repeat(100_000)), Err(Failure::Syntax(_))));
    }

    #[test]
    fn memory_is_bounded() {
        for bomb in ["[],", "{\"\":0},", "0,", "\"\",", "{\"a\":{\"b\":[1]}},"] {
            let text = format!("[{}0]", bomb.repeat(200_000));
            assert!(matches!(values(&text), Err(Failure::Memory)), "{bomb}");
        }
    }

    #[test]
    fn members_keep_their_order() {
        let value = &values("{\"z\": 1, \"a\": 2, \"z\": 3}").unwrap()[0];
        assert_eq!(value.to_string(), "{\"z\":3,\"a\":2}");
    }

    proptest! {
        #[test]
        fn what_is_made_is_what_serde_json_makes(text in "[\\[\\]{}:,\"a0-9.eE -]{0,30}") {
            let plain: Result<Value, _> = serde_json::from_str(&text);
            if let Ok(plain) = plain {
                prop_assert_eq!(values(&text).unwrap(), [plain]);
            }
        }
    }
}
