//! The parameters of one call: put in order, checked against the method's table, read by type.

use std::borrow::Cow;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tine_chain::amount::Amount;

use super::amount::parse_coins;
use super::envelope::RawParams;
use super::error::{Code, RpcError};
use super::registry::{Kind, Method};

/// A call's parameters, one place for each that the method has; null counts as not given, as in Core.
#[derive(Debug)]
pub(crate) struct Params {
    method: &'static Method,
    values: Vec<Option<Box<RawValue>>>,
}

impl Params {
    /// Puts `raw` in the order of the method's table and checks number and types.
    ///
    /// # Errors
    /// -1 with the method's help when there are too few or too many, -8 for names that are unknown or given twice,
    /// -3 for wrong types.
    pub(crate) fn new(method: &'static Method, raw: RawParams) -> Result<Self, RpcError> {
        let given = match raw {
            RawParams::None => Vec::new(),
            RawParams::List(list) => list.into_iter().map(Some).collect(),
            RawParams::Named(members) => by_position(method, members)?,
        };
        let mut values: Vec<_> =
            given.into_iter().map(|value| value.filter(|value| value.get() != "null")).collect();
        let too_many = values.len() > method.params.len();
        values.resize_with(method.params.len(), || None);
        let missing =
            method.params.iter().zip(&values).any(|(param, value)| param.required && value.is_none());
        if too_many || missing {
            return Err(RpcError::new(Code::Misc, method.help()));
        }
        let params = Self { method, values };
        params.check_kinds()?;
        Ok(params)
    }

    fn check_kinds(&self) -> Result<(), RpcError> {
        let wrong: Vec<String> = (self.method.params.iter().zip(&self.values).enumerate())
            .filter_map(|(place, (param, value))| {
                let found = kind_of(value.as_deref()?);
                let message =
                    format!("JSON value of type {found} is not of expected type {}", param.kind.json());
                (!param.kind.accepts(found))
                    .then(|| format!("    \"Position {} ({})\": \"{message}\"", place + 1, param.name()))
            })
            .collect();
        match wrong.is_empty() {
            true => Ok(()),
            false => {
                Err(RpcError::new(Code::Type, format!("Wrong type passed:\n{{\n{}\n}}", wrong.join(",\n"))))
            }
        }
    }

    /// The text of a value, `None` if it was not given.
    pub(crate) fn raw(&self, place: usize) -> Option<&RawValue> {
        self.values[place].as_deref()
    }

    fn name(&self, place: usize) -> &'static str {
        self.method.params[place].name()
    }

    /// A value of any type that serde can read.
    pub(crate) fn optional<T: DeserializeOwned>(&self, place: usize) -> Result<Option<T>, RpcError> {
        let Some(raw) = self.raw(place) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|error| RpcError::new(Code::Type, format!("{}: {error}", self.name(place))))
    }

    /// A value that the table says is required.
    pub(crate) fn required<T: DeserializeOwned>(&self, place: usize) -> Result<T, RpcError> {
        self.optional(place)?.ok_or_else(|| RpcError::new(Code::Misc, self.method.help()))
    }

    /// All that was given, read as one object of names: for methods whose parameters are a type.
    pub(crate) fn object<T: DeserializeOwned>(&self) -> Result<T, RpcError> {
        let members: Vec<String> = (self.method.params.iter().zip(&self.values))
            .filter_map(|(param, value)| Some(format!("\"{}\":{}", param.name(), value.as_ref()?.get())))
            .collect();
        serde_json::from_str(&format!("{{{}}}", members.join(",")))
            .map_err(|error| RpcError::new(Code::Type, error.to_string()))
    }

    /// A string.
    pub(crate) fn text(&self, place: usize) -> Result<String, RpcError> {
        self.required(place)
    }

    /// A string that may be long, where it lies if nothing in it is escaped.
    pub(crate) fn long_text(&self, place: usize) -> Result<Cow<'_, str>, RpcError> {
        let plain = self.raw(place).and_then(|raw| raw.get().strip_prefix('"')?.strip_suffix('"'));
        match plain {
            Some(text) if !text.contains('\\') => Ok(Cow::Borrowed(text)),
            Some(_) | None => self.text(place).map(Cow::Owned),
        }
    }

    /// A hash (Core: `ParseHashV`, with its words).
    pub(crate) fn hash<T: FromStr>(&self, place: usize) -> Result<T, RpcError> {
        parse_hash(self.name(place), &self.text(place)?)
    }

    /// A whole number; anything else is refused, never cut.
    pub(crate) fn integer(&self, place: usize) -> Result<Option<i64>, RpcError> {
        let Some(raw) = self.raw(place) else { return Ok(None) };
        match raw.get().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(RpcError::new(Code::Type, "JSON integer out of range")),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer_in(
        &self,
        place: usize,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, RpcError> {
        match self.integer(place)? {
            Some(number) if !range.contains(&number) => Err(RpcError::invalid(format!(
                "Invalid {}: {number} is not from {} to {}",
                self.name(place),
                range.start(),
                range.end()
            ))),
            other => Ok(other),
        }
    }

    /// A boolean, `default` if it was not given.
    pub(crate) fn flag(&self, place: usize, default: bool) -> Result<bool, RpcError> {
        Ok(self.optional(place)?.unwrap_or(default))
    }

    /// A number of verbosity, or a boolean that stands for 0 or 1 (Core: `ParseVerbosity`).
    pub(crate) fn verbosity(&self, place: usize, default: i64) -> Result<i64, RpcError> {
        match self.raw(place).map(RawValue::get) {
            None => Ok(default),
            Some("false") => Ok(0),
            Some("true") => Ok(1),
            Some(_) => Ok(self.integer(place)?.unwrap_or(default)),
        }
    }

    /// An exact amount of coins, as a number or a string.
    pub(crate) fn amount(&self, place: usize) -> Result<Option<Amount>, RpcError> {
        let Some(raw) = self.raw(place) else { return Ok(None) };
        let text = raw.get();
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        parse_coins(text).map(Some).map_err(|error| RpcError::new(Code::Type, error.to_string()))
    }
}

/// A hash of 64 hexadecimal digits, refused in Core's words.
pub(crate) fn parse_hash<T: FromStr>(name: &str, text: &str) -> Result<T, RpcError> {
    text.parse().map_err(|_| {
        let length = text.chars().count();
        RpcError::invalid(if length == 64 {
            format!("{name} must be hexadecimal string (not '{text}')")
        } else {
            format!("{name} must be of length 64 (not {length}, for '{text}')")
        })
    })
}

/// Named parameters in the order of the table; `args` holds those that come first, by position
/// (Core: `transformNamedArguments`).
fn by_position(
    method: &'static Method,
    members: Vec<(String, Box<RawValue>)>,
) -> Result<Vec<Option<Box<RawValue>>>, RpcError> {
    let mut values: Vec<Option<Box<RawValue>>> = Vec::new();
    values.resize_with(method.params.len(), || None);
    let mut positional: Option<Vec<Box<RawValue>>> = None;
    for (name, value) in members {
        if name == "args" && value.get().starts_with('[') {
            if positional.is_some() {
                return Err(RpcError::invalid("Parameter args specified multiple times"));
            }
            let list = serde_json::from_str(value.get()).expect("an array that has been parsed before");
            positional = Some(list);
            continue;
        }
        let place = method.params.iter().position(|param| param.names.split('|').any(|known| known == name));
        let Some(place) = place else {
            return Err(RpcError::invalid(format!("Unknown named parameter {name}")));
        };
        if values[place].is_some() {
            return Err(RpcError::invalid(format!("Parameter {name} specified multiple times")));
        }
        values[place] = Some(value);
    }
    for (place, value) in positional.unwrap_or_default().into_iter().enumerate() {
        match values.get_mut(place) {
            Some(Some(_)) => {
                return Err(RpcError::invalid(format!(
                    "Parameter {} specified twice both as positional and named argument",
                    method.params[place].name()
                )));
            }
            Some(slot) => *slot = Some(value),
            None => values.push(Some(value)),
        }
    }
    Ok(values)
}

/// The JSON type of a value, by Core's names.
fn kind_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'"') => "string",
        Some(b'[') => "array",
        Some(b'{') => "object",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}

impl Kind {
    /// Whether a value of this JSON type can be read as this kind.
    fn accepts(self, found: &str) -> bool {
        match self {
            Self::Text | Self::Hex => found == "string",
            Self::Number => found == "number",
            Self::Amount => found == "number" || found == "string",
            Self::Flag => found == "bool",
            Self::Verbosity => found == "number" || found == "bool",
            Self::Array => found == "array",
            Self::Object => found == "object",
            Self::Any => true,
        }
    }

    /// The JSON type that is asked for, by Core's names.
    pub(crate) fn json(self) -> &'static str {
        match self {
            Self::Text | Self::Hex => "string",
            Self::Number | Self::Amount | Self::Verbosity => "number",
            Self::Flag => "bool",
            Self::Array => "array",
            Self::Object => "object",
            Self::Any => "any",
        }
    }
}
