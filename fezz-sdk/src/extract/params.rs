//! A serde deserializer for the parameters of a path and of a query.

use std::borrow::Cow;

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
};

use crate::FezzError;

/// Parameters in order, each name once with all of its values.
#[derive(Debug)]
pub(super) struct Params<'a>(Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

impl<'a> Params<'a> {
    pub(super) fn of(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Self {
        let mut params: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)> = Vec::new();
        for (name, value) in pairs {
            match params.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => params.push((name, vec![value])),
            }
        }
        Self(params)
    }

    /// The only parameter, for a type that is one value.
    fn only(&self) -> Result<Value<'_>, Error> {
        match self.0.as_slice() {
            [(_, values)] => Ok(Value(values)),
            more => {
                Err(Error::custom(format!("one value is asked for, and there are {} parameters", more.len())))
            }
        }
    }
}

/// Deserializes parameters. An error is a 400 with this detail that names the parameter.
pub(super) fn read<T: DeserializeOwned>(params: &Params<'_>, detail: &str) -> Result<T, FezzError> {
    serde_path_to_error::deserialize(params).map_err(|error| {
        let field = field(params, &error.path().to_string());
        FezzError::bad_request(detail).field(field, error.into_inner().to_string())
    })
}

/// The name of the parameter at an error's path. The path of a tuple's element is its index, that of a single value `.`.
fn field(params: &Params<'_>, path: &str) -> String {
    let index = path.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse().ok());
    let index = index.or((path == "." && params.0.len() == 1).then_some(0_usize));
    let found = index.and_then(|index| params.0.get(index));
    found.map_or_else(|| path.to_owned(), |(name, _)| name.clone().into_owned())
}

macro_rules! single_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Params<'_> {
    type Error = Error;

    single_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().map(|(_, values)| Value(values))))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        if self.0.len() != len {
            let found = self.0.len();
            return Err(Error::custom(format!(
                "{len} values are asked for, and there are {found} parameters"
            )));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(MapDeserializer::new(self.0.iter().map(|(name, values)| (&**name, Value(values)))))
    }

    serde::forward_to_deserialize_any! { struct }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// The values of one name: exactly one, unless the type is a list.
#[derive(Clone, Copy, Debug)]
struct Value<'a>(&'a [Cow<'a, str>]);

impl<'a> Value<'a> {
    fn text(self) -> Result<&'a str, Error> {
        match self.0 {
            [value] => Ok(value),
            more => Err(Error::custom(format!("one value is asked for, and {} were given", more.len()))),
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let text = self.text()?;
            let value = text.parse().map_err(|_| Error::custom(format!("`{text}` is not {}", $what)))?;
            visitor.$visit(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    parsed! {
        deserialize_bool visit_bool "true or false";
        deserialize_i8 visit_i8 "a whole number from -128 to 127";
        deserialize_i16 visit_i16 "a whole number of 16 bits";
        deserialize_i32 visit_i32 "a whole number of 32 bits";
        deserialize_i64 visit_i64 "a whole number of 64 bits";
        deserialize_i128 visit_i128 "a whole number of 128 bits";
        deserialize_u8 visit_u8 "a whole number from 0 to 255";
        deserialize_u16 visit_u16 "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 "a whole number of 32 bits, without a sign";
        deserialize_u64 visit_u64 "a whole number of 64 bits, without a sign";
        deserialize_u128 visit_u128 "a whole number of 128 bits, without a sign";
        deserialize_f32 visit_f32 "a number";
        deserialize_f64 visit_f64 "a number";
        deserialize_char visit_char "one character";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.text()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let values = self.0.iter().map(|value| Value(std::slice::from_ref(value)));
        visitor.visit_seq(SeqDeserializer::new(values))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(Variant(self.text()?))
    }

    serde::forward_to_deserialize_any! {
        str string unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// A unit variant, by its name.
struct Variant<'a>(&'a str);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: serde::de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let value = seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(self.0))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: serde::de::DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(Error::custom("a parameter has no fields"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a parameter has no fields"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a parameter has no fields"))
    }
}
