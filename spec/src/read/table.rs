//! The macros a document's types are declared with: `record!` for objects, `union!` for values of several kinds,
//! `words!` for fixed words, `bounds!` for numbers, `texts!` for texts of a form.

/// An object: the table of its fields is its type, its reader and its schema.
///
/// A field is `name: Type,` or `name = "json name": Type,`; `[required]` behind the type means it must be there.
macro_rules! record {
    ($(#[doc = $about:literal])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* $field:ident $(= $json:literal)? : $ty:ty $([$required:ident])?,)*
    } $(and { $($(#[doc = $other_doc:literal])* $other:ident: $other_ty:ty,)* })?) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            pub span: $crate::read::Span,
            $($(#[doc = $doc])* pub $field: Option<$crate::read::At<$ty>>,)*
            $($($(#[doc = $other_doc])* pub $other: $other_ty,)*)?
        }

        impl $name {
            const LINES: &'static [$crate::read::field::FieldLine] = &[$(
                $crate::read::field::FieldLine {
                    name: $crate::read::table::json_name!($field $(, $json)?),
                    about: concat!($($doc, "\n"),*).trim_ascii(),
                    required: $crate::read::table::is_required!($($required)?),
                },
            )*];

            /// The names of its fields.
            #[allow(dead_code, reason = "asked for some objects only")]
            pub(crate) fn field_names() -> impl Iterator<Item = &'static str> {
                $name::LINES.iter().map(|line| line.name)
            }
        }

        impl $crate::read::field::Field for $name {
            fn takes(kind: $crate::read::field::Kind) -> bool {
                kind == $crate::read::field::Kind::Object
            }
            fn what() -> String {
                "an object".to_owned()
            }
            fn read(
                node: &jsonc_parser::ast::Value<'_>,
                reader: &mut $crate::read::field::Reader,
            ) -> Option<Self> {
                let object = node.as_object()?;
                let mut record = $name { span: $crate::read::field::span(object), ..$name::default() };
                reader.fields(object, $name::LINES, |reader, name, value| {
                    $(if name == $crate::read::table::json_name!($field $(, $json)?) {
                        record.$field = reader.field($crate::read::table::json_name!($field $(, $json)?), value);
                        return true;
                    })*
                    false
                });
                Some(record)
            }
            fn schema(definitions: &mut $crate::schema::Definitions) -> serde_json::Value {
                definitions.object(
                    stringify!($name),
                    concat!($($about, "\n"),*).trim_ascii(),
                    $name::LINES,
                    |definitions| vec![$(<$ty as $crate::read::field::Field>::schema(definitions)),*],
                )
            }
        }
    };
}

macro_rules! json_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident, $json:literal) => {
        $json
    };
}

macro_rules! is_required {
    () => {
        false
    };
    (required) => {
        true
    };
}

/// A value that may be of several kinds; the first alternative that takes the value's kind reads it.
macro_rules! union {
    ($(#[doc = $about:literal])* pub enum $name:ident { $($variant:ident($ty:ty),)* }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($variant($ty),)*
        }

        impl $crate::read::field::Field for $name {
            fn takes(kind: $crate::read::field::Kind) -> bool {
                false $(|| <$ty as $crate::read::field::Field>::takes(kind))*
            }
            fn what() -> String {
                [$(<$ty as $crate::read::field::Field>::what()),*].join(" or ")
            }
            fn read(
                node: &jsonc_parser::ast::Value<'_>,
                reader: &mut $crate::read::field::Reader,
            ) -> Option<Self> {
                let kind = $crate::read::field::Kind::of(node);
                $(if <$ty as $crate::read::field::Field>::takes(kind) {
                    return <$ty as $crate::read::field::Field>::read(node, reader).map($name::$variant);
                })*
                None
            }
            fn schema(definitions: &mut $crate::schema::Definitions) -> serde_json::Value {
                serde_json::json!({ "anyOf": [$(<$ty as $crate::read::field::Field>::schema(definitions)),*] })
            }
        }
    };
}

/// Fixed words for the values of a type that may live elsewhere.
macro_rules! words {
    ($name:ty { $($word:literal => $value:expr,)* }) => {
        impl $crate::read::field::Field for $name {
            fn takes(kind: $crate::read::field::Kind) -> bool {
                kind == $crate::read::field::Kind::Text
            }
            fn what() -> String {
                [$(concat!("`", $word, "`")),*].join(" or ")
            }
            fn read(
                node: &jsonc_parser::ast::Value<'_>,
                reader: &mut $crate::read::field::Reader,
            ) -> Option<Self> {
                let word = node.as_string_lit()?.value.as_ref();
                $(if word == $word {
                    return Some($value);
                })*
                let message = format!(
                    "`{}` takes {}, not `{}`",
                    reader.field,
                    Self::what(),
                    $crate::diagnostic::excerpt(word)
                );
                let help = $crate::diagnostic::did_you_mean(word, [$($word),*]);
                reader.refuse($crate::diagnostic::Code::UnknownWord, node, message, help)
            }
            fn schema(_: &mut $crate::schema::Definitions) -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),*] })
            }
        }
    };
}

/// A whole number between two bounds, which names the bound it breaks.
macro_rules! bounds {
    ($($(#[doc = $about:literal])* $name:ident = $min:expr, $max:expr, $bound:literal;)*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl $crate::read::field::Field for $name {
            fn takes(kind: $crate::read::field::Kind) -> bool {
                kind == $crate::read::field::Kind::Number
            }
            fn what() -> String {
                "a whole number".to_owned()
            }
            fn read(
                node: &jsonc_parser::ast::Value<'_>,
                reader: &mut $crate::read::field::Reader,
            ) -> Option<Self> {
                $crate::read::number::whole(node, reader, $min..=$max, $bound).map($name)
            }
            fn schema(_: &mut $crate::schema::Definitions) -> serde_json::Value {
                serde_json::json!({ "type": "integer", "minimum": $min, "maximum": $max })
            }
        }
    )*};
}

/// A text of a form: a function that says what is wrong with one, and what the schema says of it.
macro_rules! texts {
    ($($(#[doc = $about:literal])* $name:ident = $check:path, $schema:tt;)*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl $crate::read::field::Field for $name {
            fn takes(kind: $crate::read::field::Kind) -> bool {
                kind == $crate::read::field::Kind::Text
            }
            fn what() -> String {
                "a text".to_owned()
            }
            fn read(
                node: &jsonc_parser::ast::Value<'_>,
                reader: &mut $crate::read::field::Reader,
            ) -> Option<Self> {
                let text = node.as_string_lit()?.value.as_ref();
                $crate::read::text::checked(node, reader, text, $check).map($name)
            }
            fn schema(_: &mut $crate::schema::Definitions) -> serde_json::Value {
                serde_json::json!($schema)
            }
        }
    )*};
}

pub(crate) use {bounds, is_required, json_name, record, texts, union, words};
