//! The part of Python's pickle format (protocol 2) that TorchScript needs: objects of named classes with
//! booleans, tensors and further objects as fields.
//!
//! No maintained crate writes classes and persistent ids, which is most of what is needed here.

/// A pickle that is being written.
pub(crate) struct Pickle {
    bytes: Vec<u8>,
}

impl Pickle {
    /// Starts one.
    pub(crate) fn new() -> Pickle {
        Pickle { bytes: vec![0x80, 2] }
    }

    /// Ends it; the first object written is its content.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'.');
        self.bytes
    }

    /// An object of `module.class` without arguments; `fields` writes a text and a value for each field.
    pub(crate) fn object(&mut self, module: &str, class: &str, fields: impl FnOnce(&mut Pickle)) {
        self.global(module, class);
        self.bytes.extend(b")\x81}("); // no arguments; make the object; a dictionary, from here
        fields(self);
        self.bytes.extend(b"ub"); // to here; give it to the object
    }

    /// The content of a whole pickle of the same protocol, as one value.
    pub(crate) fn content_of(&mut self, pickle: &[u8]) {
        let content = pickle.strip_prefix(&[0x80, 2]).unwrap_or(pickle);
        self.bytes.extend(content.strip_suffix(b".").unwrap_or(content));
    }

    /// A text.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    /// A truth value.
    pub(crate) fn boolean(&mut self, value: bool) {
        self.bytes.push(if value { 0x88 } else { 0x89 });
    }

    /// A contiguous float32 tensor whose values are in the file of that name.
    pub(crate) fn tensor(&mut self, file: &str, shape: &[i64], is_trainable: bool) {
        self.tensor_of("FloatStorage", file, shape, is_trainable);
    }

    /// The same for values of another type, which that class of PyTorch's holds.
    pub(crate) fn tensor_of(&mut self, storage_class: &str, file: &str, shape: &[i64], is_trainable: bool) {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.tuple(|arguments| {
            arguments.tuple(|storage| {
                storage.text("storage");
                storage.global("torch", storage_class);
                storage.text(file);
                storage.text("cpu"); // where it was; a loader's map_location decides where it goes
                storage.integer(shape.iter().product());
            });
            arguments.bytes.push(b'Q'); // by persistent id
            arguments.integer(0); // the offset within the storage
            arguments.tuple(|sizes| shape.iter().for_each(|&size| sizes.integer(size)));
            arguments.tuple(|steps| strides.iter().for_each(|&stride| steps.integer(stride)));
            arguments.boolean(is_trainable); // requires_grad
            arguments.global("collections", "OrderedDict"); // no hooks
            arguments.bytes.extend(b")R");
        });
        self.bytes.push(b'R');
    }

    /// An empty dictionary.
    pub(crate) fn empty_dictionary(&mut self) {
        self.bytes.push(b'}');
    }

    fn global(&mut self, module: &str, name: &str) {
        self.bytes.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    /// A tuple.
    pub(crate) fn tuple(&mut self, items: impl FnOnce(&mut Pickle)) {
        self.bytes.push(b'(');
        items(self);
        self.bytes.push(b't');
    }

    fn integer(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(small) => {
                self.bytes.push(b'J');
                self.bytes.extend(small.to_le_bytes());
            }
            Err(_) => {
                self.bytes.extend([0x8a, 8]);
                self.bytes.extend(value.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_byte_for_byte() {
        let mut pickle = Pickle::new();
        pickle.object("a.b", "C", |fields| {
            fields.text("training");
            fields.boolean(false);
        });
        // Python: pickletools.dis of these bytes shows the class, its one field and no error.
        assert_eq!(pickle.finish(), b"\x80\x02ca.b\nC\n)\x81}(X\x08\0\0\0training\x89ub.");
    }

    #[test]
    fn integers_beyond_32_bits_are_long() {
        let mut pickle = Pickle::new();
        pickle.integer(-2);
        pickle.integer(1 << 40);
        assert_eq!(pickle.finish(), b"\x80\x02J\xfe\xff\xff\xff\x8a\x08\0\0\0\0\0\x01\0\0.");
    }
}
