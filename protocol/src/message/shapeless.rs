//! JSON of any shape, as events and log lines carry it. It is counted while it is read: as a tree, a megabyte of small
//! values takes fifty times its bytes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::limits::MAX_VALUES;

/// Reads a value with at most [`MAX_VALUES`] in it, itself among them.
pub(super) fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let left = Cell::new(MAX_VALUES);
    Shapeless(&left).deserialize(deserializer)
}

/// The same for an object.
pub(super) fn object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Value>, D::Error> {
    match value(deserializer)? {
        Value::Object(entries) => Ok(entries.into_iter().collect()),
        _ => Err(D::Error::custom("an object is expected")),
    }
}

/// One value, and how many more there may be.
#[derive(Clone, Copy)]
struct Shapeless<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Shapeless<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| {
            D::Error::custom(format_args!(
                "more than {MAX_VALUES} values in one message; send several, or make one text of them"
            ))
        })?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shapeless<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(self)? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, serde_json::Error> {
        value(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn every_shape_is_read_as_it_is() {
        let shapes =
            json!([null, true, -1, u64::MAX, 1.5, "x", [], {}, {"a": [{"b": "\u{1f600}"}]}]);
        assert_eq!(read(&shapes.to_string()).unwrap(), shapes);
    }

    #[test]
    fn values_are_counted_however_deep_they_are() {
        let many = |count: usize| json!({ "deep": [vec![json!({}); count]] }).to_string();
        // The object itself, and two lists.
        assert!(read(&many(MAX_VALUES - 3)).is_ok());
        let error = read(&many(MAX_VALUES - 2)).unwrap_err().to_string();
        assert!(error.contains("send several"), "{error}");
        // A text is one, whatever it has in it.
        assert!(read(&json!(many(MAX_VALUES)).to_string()).is_ok());
    }
}
