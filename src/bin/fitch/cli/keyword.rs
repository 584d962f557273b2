//! Options whose values are a library type with keywords.

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParserFactory};
use clap::error::Error;
use clap::{Arg, Command};
use fitch::data::split::SplitMethod;
use fitch::data::{Format, ImageFit, Missing, PixelOrder};
use fitch::export::ImageInput;
use fitch::report::Orientation;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::ffi::OsStr;
use std::marker::PhantomData;

/// A type whose values users choose by a keyword.
pub trait Keyword: Copy + Send + Sync + 'static {
    fn all() -> Vec<Self>;
    fn keyword(self) -> &'static str;
}

/// The value of an option that takes one of the keywords of `T`, on the command line and in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneOf<T>(pub T);

impl Keyword for Format {
    fn all() -> Vec<Format> {
        Format::all().collect()
    }

    fn keyword(self) -> &'static str {
        Format::keyword(self)
    }
}

/// For the enums of the library, which have `ALL` and `keyword`.
macro_rules! keywords_of {
    ($($of:ty),*) => {$(
        impl Keyword for $of {
            fn all() -> Vec<$of> {
                <$of>::ALL.to_vec()
            }

            fn keyword(self) -> &'static str {
                <$of>::keyword(self)
            }
        }
    )*};
}

keywords_of!(SplitMethod, ImageInput, Orientation, Missing, PixelOrder, ImageFit);

fn keywords<T: Keyword>() -> Vec<&'static str> {
    T::all().into_iter().map(T::keyword).collect()
}

fn find<T: Keyword>(keyword: &str) -> Option<OneOf<T>> {
    T::all().into_iter().find(|value| value.keyword() == keyword).map(OneOf)
}

impl<T: Keyword> ValueParserFactory for OneOf<T> {
    type Parser = KeywordParser<T>;

    fn value_parser() -> KeywordParser<T> {
        KeywordParser(PhantomData)
    }
}

/// Tells clap the keywords, for help and suggestions.
#[derive(Clone, Debug)]
pub struct KeywordParser<T>(PhantomData<T>);

impl<T: Keyword> TypedValueParser for KeywordParser<T> {
    type Value = OneOf<T>;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<OneOf<T>, Error> {
        let parser = PossibleValuesParser::new(keywords::<T>());
        let parser = parser.try_map(|keyword| find(&keyword).ok_or("not a keyword"));
        parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = clap::builder::PossibleValue>>> {
        Some(Box::new(keywords::<T>().into_iter().map(Into::into)))
    }
}

impl<T: Keyword> Serialize for OneOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.keyword())
    }
}

impl<'de, T: Keyword> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOf<T>, D::Error> {
        let keyword = String::deserialize(deserializer)?;
        let unknown =
            || format!("unknown variant `{keyword}`, expected one of {}", keywords::<T>().join(", "));
        find(&keyword).ok_or_else(|| de::Error::custom(unknown()))
    }
}
