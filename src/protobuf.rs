//! Protocol Buffers, as far as they are written: `message!` declares a message and its numbered fields.
//!
//! The encoding is that of <https://protobuf.dev/programming-guides/encoding/>. As in proto3, a plain field is left
//! out at its default, an `Option` where it is `None`.

/// A message.
pub(crate) trait Message {
    /// Appends all fields.
    fn encode(&self, bytes: &mut Vec<u8>);

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }
}

/// What a field can hold; a message is declared to be one by `message!`.
pub(crate) trait Value {
    const WIRE_TYPE: u64;

    fn is_default(&self) -> bool;

    fn encode_value(&self, bytes: &mut Vec<u8>);
}

/// A field: a value, or several.
pub(crate) trait Field {
    fn encode_field(&self, number: u64, bytes: &mut Vec<u8>);
}

/// Bytes that are no text.
#[derive(Debug, Default)]
pub(crate) struct Bytes(pub Vec<u8>);

/// Integers in one piece, which is how proto3 writes them.
#[derive(Debug, Default)]
pub(crate) struct Packed(pub Vec<i64>);

/// Declares a message: `message! { pub struct Plugin { 1 => name: String } }`.
macro_rules! message {
    ($(#[$note:meta])* $access:vis struct $name:ident { $($number:literal => $field:ident: $type:ty),* $(,)? }) => {
        $(#[$note])*
        #[derive(Debug, Default)]
        $access struct $name {
            $($access $field: $type,)*
        }

        impl $crate::protobuf::Message for $name {
            fn encode(&self, bytes: &mut Vec<u8>) {
                $($crate::protobuf::Field::encode_field(&self.$field, $number, bytes);)*
            }
        }

        impl $crate::protobuf::Value for $name {
            const WIRE_TYPE: u64 = $crate::protobuf::LENGTH_DELIMITED;

            // As an Option or in a Vec, it is there even if it is empty.
            fn is_default(&self) -> bool {
                false
            }

            fn encode_value(&self, bytes: &mut Vec<u8>) {
                $crate::protobuf::encode_delimited(bytes, |bytes| {
                    $crate::protobuf::Message::encode(self, bytes)
                });
            }
        }
    };
}
pub(crate) use message;

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
pub(crate) const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

fn encode_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Content with its length before it.
pub(crate) fn encode_delimited(bytes: &mut Vec<u8>, encode_content: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    encode_content(bytes);
    let mut length = Vec::new();
    encode_varint((bytes.len() - start) as u64, &mut length);
    bytes.splice(start..start, length);
}

fn encode_numbered<V: Value>(value: &V, number: u64, bytes: &mut Vec<u8>) {
    encode_varint(number << 3 | V::WIRE_TYPE, bytes);
    value.encode_value(bytes);
}

impl<V: Value> Field for V {
    fn encode_field(&self, number: u64, bytes: &mut Vec<u8>) {
        if !self.is_default() {
            encode_numbered(self, number, bytes);
        }
    }
}

impl<V: Value> Field for Option<V> {
    fn encode_field(&self, number: u64, bytes: &mut Vec<u8>) {
        self.iter().for_each(|value| encode_numbered(value, number, bytes));
    }
}

impl<V: Value> Field for Vec<V> {
    fn encode_field(&self, number: u64, bytes: &mut Vec<u8>) {
        self.iter().for_each(|value| encode_numbered(value, number, bytes));
    }
}

impl Value for i64 {
    const WIRE_TYPE: u64 = VARINT;

    fn is_default(&self) -> bool {
        *self == 0
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        encode_varint(*self as u64, bytes);
    }
}

impl Value for i32 {
    const WIRE_TYPE: u64 = VARINT;

    fn is_default(&self) -> bool {
        *self == 0
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        i64::from(*self).encode_value(bytes);
    }
}

impl Value for f64 {
    const WIRE_TYPE: u64 = FIXED_64;

    fn is_default(&self) -> bool {
        *self == 0.0
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Value for f32 {
    const WIRE_TYPE: u64 = FIXED_32;

    fn is_default(&self) -> bool {
        *self == 0.0
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Value for String {
    const WIRE_TYPE: u64 = LENGTH_DELIMITED;

    fn is_default(&self) -> bool {
        self.is_empty()
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        encode_delimited(bytes, |bytes| bytes.extend(self.as_bytes()));
    }
}

impl Value for Bytes {
    const WIRE_TYPE: u64 = LENGTH_DELIMITED;

    fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        encode_delimited(bytes, |bytes| bytes.extend(&self.0));
    }
}

impl Value for Packed {
    const WIRE_TYPE: u64 = LENGTH_DELIMITED;

    fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    fn encode_value(&self, bytes: &mut Vec<u8>) {
        encode_delimited(bytes, |bytes| self.0.iter().for_each(|value| value.encode_value(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    message! {
        struct Inner { 1 => integer: i32 }
    }

    message! {
        struct Outer {
            1 => integer: i64,
            2 => text: String,
            3 => inner: Option<Inner>,
            4 => packed: Packed,
            5 => optional: Option<f32>,
            6 => unpacked: Vec<i64>,
            7 => raw: Vec<Bytes>,
            16 => real: f64,
        }
    }

    #[test]
    fn bytes_are_those_of_the_specification() {
        assert!(Outer::default().to_bytes().is_empty());
        // The examples of the specification: 150, "testing", a message in a message, packed integers.
        let outer = |edit: fn(&mut Outer)| {
            let mut outer = Outer::default();
            edit(&mut outer);
            outer.to_bytes()
        };
        assert_eq!(outer(|outer| outer.integer = 150), [0x08, 0x96, 0x01]);
        assert_eq!(outer(|outer| outer.text = "testing".to_string()), *b"\x12\x07testing");
        assert_eq!(outer(|outer| outer.inner = Some(Inner { integer: 150 })), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(
            outer(|outer| outer.packed = Packed(vec![3, 270, 86_942])),
            [0x22, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]
        );
        // What is there is written although it is a default; negative integers take ten bytes.
        assert_eq!(outer(|outer| outer.inner = Some(Inner::default())), [0x1a, 0]);
        assert_eq!(outer(|outer| outer.optional = Some(0.0)), [0x2d, 0, 0, 0, 0]);
        assert_eq!(outer(|outer| outer.unpacked = vec![0, 1]), [0x30, 0, 0x30, 1]);
        assert_eq!(outer(|outer| outer.raw = vec![Bytes(vec![7])]), [0x3a, 1, 7]);
        assert_eq!(outer(|outer| outer.real = 1.0), [0x81, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        let minus_one = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(outer(|outer| outer.integer = -1), minus_one);
    }
}
