//! JSON as a value of the Rego engine. The engine's own reader allocates each text twice, and each key of each object.

use regorus::Value;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Formatter, Result as FormatResult};
use std::sync::Arc;

/// Keys that were read before: most objects have the same ones. A place holds one key.
struct Keys(Vec<Option<Arc<str>>>);

const PLACES: usize = 512;
const MAX_KEY: usize = 64;
/// An object with this key can be a large number to the engine's own reader.
const NUMBER_KEY: &str = "$serde_json::private::Number";

thread_local! {
    static KEYS: RefCell<Keys> = RefCell::new(Keys(vec![None; PLACES]));
}

impl Keys {
    fn get(&mut self, text: &str) -> Value {
        let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return Value::from(text) };
        if text.len() > MAX_KEY {
            return Value::from(text);
        }
        let number = (usize::from(first) * 31 + usize::from(last)) * 7 + text.len();
        let place = &mut self.0[number % PLACES];
        match place {
            Some(key) if **key == *text => Value::String(key.clone()),
            _ => Value::String(place.insert(text.into()).clone()),
        }
    }
}

/// Reads a JSON text.
pub(crate) fn read(json: &[u8]) -> Result<Value, serde_json::Error> {
    // A text that is known to be UTF-8 is read faster.
    let Ok(text) = std::str::from_utf8(json) else { return serde_json::from_slice(json) };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = KEYS.with_borrow_mut(|keys| Reader(keys).deserialize(&mut deserializer)).and_then(|value| deserializer.end().map(|()| value));
    // The engine's reader decides about whatever this one does not read.
    value.or_else(|_| serde_json::from_slice(json))
}

struct Reader<'keys>(&'keys mut Keys);

struct KeyReader<'keys>(&'keys mut Keys);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for KeyReader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyReader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut Formatter) -> FormatResult {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        if text == NUMBER_KEY {
            return Err(E::custom("not read here"));
        }
        Ok(self.0.get(text))
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut Formatter) -> FormatResult {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.is_finite() { Ok(Value::from(value)) } else { Err(E::custom("not read here")) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(Reader(self.0))? {
            found.push(item);
        }
        Ok(Value::from(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some(key) = entries.next_key_seed(KeyReader(self.0))? {
            found.insert(key, entries.next_value_seed(Reader(self.0))?);
        }
        Ok(Value::from(found))
    }
}
