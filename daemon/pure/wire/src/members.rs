//! Reading JSON values with the full path of whatever is wrong.

use serde_json::{Map, Value};

use crate::json::Object;
use crate::malformed::Malformed;

/// A JSON object inside a request, and where it stands there. Members that are `null` count as absent.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Members<'a> {
    /// The top level of a body: paths are the names alone.
    pub(crate) const fn top(map: &'a Map<String, Value>) -> Self {
        Self { map, path: String::new() }
    }

    /// The object at `path`.
    ///
    /// # Errors
    /// The value is no object.
    pub(crate) fn of(value: &'a Value, path: String) -> Result<Self, Malformed> {
        match value.as_object() {
            Some(map) => Ok(Self { map, path }),
            None => Err(Malformed::new(path, format!("an object is expected, not {}", kind(value)))),
        }
    }

    /// The full path of a member.
    pub(crate) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The full path of this object.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// All members that are not `null`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.map.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.as_str(), value))
    }

    /// A member of any type.
    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        self.typed(name, "text", Value::as_str)
    }

    /// A text that must be there.
    pub(crate) fn need_text(&self, name: &str) -> Result<&'a str, Malformed> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Malformed> {
        self.typed(name, "a number", Value::as_f64)
    }

    /// A whole number; `40.0` counts as one.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<i64>, Malformed> {
        self.typed(name, "a whole number", whole)
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, Malformed> {
        self.typed(name, "a whole number that is not negative", |value| {
            value.as_u64().or_else(|| whole(value).and_then(|number| u64::try_from(number).ok()))
        })
    }

    /// A list.
    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Malformed> {
        self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Malformed> {
        let mut texts = Vec::new();
        for (position, value) in self.list(name)?.unwrap_or_default().iter().enumerate() {
            let text = value.as_str().ok_or_else(|| wrong(format!("{}[{position}]", self.at(name)), "text", value))?;
            texts.push(text);
        }
        Ok(texts)
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Malformed> {
        self.value(name).map(|value| Self::of(value, self.at(name))).transpose()
    }

    /// The objects of a list.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, Malformed> {
        let list = self.list(name)?.unwrap_or_default().iter().enumerate();
        list.map(|(position, value)| Self::of(value, format!("{}[{position}]", self.at(name)))).collect()
    }

    /// What to say of a member that must be there.
    pub(crate) fn missing(&self, name: &str) -> Malformed {
        Malformed::new(self.at(name), "this member is required")
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Malformed> {
        let Some(value) = self.value(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(self.at(name), expected, value))
    }
}

/// Reads all members of a body.
///
/// # Errors
/// A member is not JSON after all, like a number that is too large.
pub(crate) fn read_all(object: &Object) -> Result<Map<String, Value>, Malformed> {
    let mut map = Map::new();
    for (name, _) in object.members() {
        if let Some(value) = object.get::<Value>(name)? {
            map.insert(name.to_owned(), value);
        }
    }
    Ok(map)
}

fn wrong(at: String, expected: &str, value: &Value) -> Malformed {
    Malformed::new(at, format!("{expected} is expected, not {}", kind(value)))
}

fn whole(value: &Value) -> Option<i64> {
    // Beyond 2^53 a float no longer tells which whole number was meant.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let exact = |number: &f64| number.fract() == 0.0 && number.abs() <= EXACT_MAX;
    value.as_i64().or_else(|| value.as_f64().filter(exact).map(|number| number as i64))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_and_wrong_ones_are_named() {
        let value = json!({"a": {"t": "x", "n": 40.0, "f": 1.5, "neg": -1, "nil": null, "l": ["a", 1], "o": [{}, 2]}});
        let top = Members::top(value.as_object().unwrap());
        let a = top.object("a").unwrap().unwrap();
        assert_eq!(a.text("t").unwrap(), Some("x"));
        assert_eq!(a.count("n").unwrap(), Some(40));
        assert_eq!(a.whole("neg").unwrap(), Some(-1));
        assert_eq!(a.text("nil").unwrap(), None);
        for (error, want) in [
            (a.text("f").unwrap_err(), "a.f: text is expected, not a number"),
            (a.count("f").unwrap_err(), "a.f: a whole number that is not negative is expected, not a number"),
            (a.count("neg").unwrap_err(), "a.neg: a whole number that is not negative is expected, not a number"),
            (a.texts("l").unwrap_err(), "a.l[1]: text is expected, not a number"),
            (a.objects("o").unwrap_err(), "a.o[1]: an object is expected, not a number"),
            (a.need_text("nil").unwrap_err(), "a.nil: this member is required"),
            (top.text("a").unwrap_err(), "a: text is expected, not an object"),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
