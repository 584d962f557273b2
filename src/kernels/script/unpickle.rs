//! The object tree of a TorchScript file, read back from its pickle, and dictionaries of tensors that `torch.save`
//! wrote: as much of the format as PyTorch writes for them. Nothing in it is run.

use anyhow::{Context, Result, bail, ensure};
use std::rc::Rc;
use tch::Kind;

/// Objects within objects, deeper than in any network.
const MAX_DEPTH: usize = 200;
/// Entries of the memo; no file of libtorch's comes near.
const MAX_MEMO: usize = 1 << 20;

/// A value of the tree. Only what a module is made of is kept.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A truth value: the place of its byte in the pickle.
    Boolean(usize),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A tuple or a list.
    List(Rc<Vec<Value>>),
    /// A class or a function: `__torch__.torch.nn.modules.conv.Conv2d`.
    Global(String),
    /// Where a tensor's values are: class of the storage, key, number of values.
    Storage(Rc<StorageId>),
    /// A tensor.
    Tensor(Rc<StoredTensor>),
    /// An object.
    Object(Rc<Object>),
    /// What a dictionary has under keys that are texts.
    Dictionary(Rc<Vec<(String, Value)>>),
    /// Anything else.
    Other,
}

/// A storage as a pickle names it.
#[derive(Debug)]
pub(crate) struct StorageId {
    kind: Kind,
    key: String,
}

/// An object of a class of the file.
#[derive(Debug)]
pub(crate) struct Object {
    /// `__torch__.torch.nn.modules.conv.Conv2d`.
    pub class: String,
    /// In the order of the file.
    pub fields: Vec<(String, Value)>,
}

/// Where the values of a tensor are in the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredTensor {
    /// The name of the storage below `data/`.
    pub storage: String,
    pub kind: Kind,
    /// In values, within the storage.
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// The object that a pickle holds.
///
/// # Errors
/// Bytes that libtorch would not have written.
pub(crate) fn object(bytes: &[u8]) -> Result<Rc<Object>> {
    match value(bytes)? {
        Value::Object(root) => Ok(root),
        _ => bail!("data.pkl holds no object"),
    }
}

/// The value that a pickle holds.
///
/// # Errors
/// Bytes that PyTorch would not have written for a module or for tensors.
pub(crate) fn value(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader { bytes, place: 0, stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
    reader.read().with_context(|| format!("byte {} of data.pkl", reader.place))
}

struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    /// Values with their depth.
    stack: Vec<(Value, usize)>,
    marks: Vec<usize>,
    memo: Vec<Option<(Value, usize)>>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<Value> {
        ensure!(self.take(2)? == [0x80, 2], "is not a pickle of protocol 2");
        loop {
            match self.byte()? {
                b'.' => return Ok(self.pop()?.0),
                b'(' => self.marks.push(self.stack.len()),
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(format!("{module}.{name}")));
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?) as usize;
                    let text = std::str::from_utf8(self.take(length)?)?.to_string();
                    self.push(Value::Text(text));
                }
                b'T' => {
                    let length = u32::from_le_bytes(self.array()?) as usize;
                    self.take(length)?;
                    self.push(Value::Other);
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Integer(value.into()));
                }
                b'K' => {
                    let value = self.byte()?;
                    self.push(Value::Integer(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Integer(value.into()));
                }
                0x8a => {
                    let length = usize::from(self.byte()?);
                    ensure!(length <= 8, "has a whole number of more than 64 bits");
                    let bytes = self.take(length)?;
                    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                    let mut whole = [if is_negative { 0xff } else { 0 }; 8];
                    whole[..length].copy_from_slice(bytes);
                    self.push(Value::Integer(i64::from_le_bytes(whole)));
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other);
                }
                b'N' => self.push(Value::Other),
                b'}' => self.push(Value::Dictionary(Rc::default())),
                b']' | b')' => self.push(Value::List(Rc::default())),
                0x88 | 0x89 => self.push(Value::Boolean(self.place - 1)),
                b't' => {
                    let items = self.since_mark()?;
                    self.push_list(items)?;
                }
                count @ 0x85..=0x87 => {
                    let start = self.stack.len().checked_sub(usize::from(count - 0x84));
                    let items = self.stack.split_off(start.context("has too few values for a tuple")?);
                    self.push_list(items)?;
                }
                b'a' => {
                    self.pop()?;
                }
                // Lists hold no module.
                b'e' => {
                    self.since_mark()?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let is_state = self.is_state()?;
                    let items = self.since_mark()?;
                    if is_state {
                        self.pop()?;
                        self.push_list(items)?;
                    } else {
                        self.set(items)?;
                    }
                }
                0x81 => {
                    self.pop()?;
                    let (Value::Global(class), _) = self.pop()? else { bail!("makes an object of no class") };
                    self.push(Value::Object(Rc::new(Object { class, fields: Vec::new() })));
                }
                b'b' => self.build()?,
                b'Q' => {
                    let (id, _) = self.pop()?;
                    self.push(storage(&id)?);
                }
                b'R' => {
                    let ((arguments, _), (function, _)) = (self.pop()?, self.pop()?);
                    self.push(called(&function, &arguments)?);
                }
                b'q' => {
                    let index = self.byte()?;
                    self.keep(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.keep(index as usize)?;
                }
                b'h' => {
                    let index = self.byte()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index as usize)?;
                }
                other => bail!("has the code {other:#04x}, which TorchScript does not use"),
            }
        }
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.place.checked_add(count).filter(|&end| end <= self.bytes.len());
        let bytes = &self.bytes[self.place..end.context("ends too early")?];
        self.place += count;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.place..];
        let end = rest.iter().position(|&byte| byte == b'\n').context("ends within a name")?;
        self.place += end + 1;
        Ok(std::str::from_utf8(&rest[..end])?.to_string())
    }

    fn push(&mut self, value: Value) {
        self.stack.push((value, 1));
    }

    fn push_list(&mut self, items: Vec<(Value, usize)>) -> Result<()> {
        let depth = 1 + items.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        ensure!(depth <= MAX_DEPTH, "has objects within objects, too deep");
        self.stack.push((Value::List(Rc::new(items.into_iter().map(|(value, _)| value).collect())), depth));
        Ok(())
    }

    fn pop(&mut self) -> Result<(Value, usize)> {
        self.stack.pop().context("has too few values")
    }

    fn since_mark(&mut self) -> Result<Vec<(Value, usize)>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.context("has no start of a list")?))
    }

    /// Whether the dictionary that is filled is to be the state of an object: it is on the object.
    fn is_state(&self) -> Result<bool> {
        let mark = *self.marks.last().context("has no start of a list")?;
        let below = mark.checked_sub(2).and_then(|index| self.stack.get(index));
        Ok(matches!(below, Some((Value::Object(object), _)) if object.fields.is_empty()))
    }

    /// Adds keys and values, one after the other, to the dictionary on top.
    fn set(&mut self, items: Vec<(Value, usize)>) -> Result<()> {
        let (dictionary, depth) = self.pop()?;
        let Value::Dictionary(mut known) = dictionary else {
            self.stack.push((dictionary, depth));
            return Ok(());
        };
        let depth = items.iter().map(|(_, below)| below + 1).fold(depth, usize::max);
        ensure!(depth <= MAX_DEPTH, "has objects within objects, too deep");
        let pairs = items.chunks_exact(2).filter_map(|pair| match &pair[0].0 {
            Value::Text(key) => Some((key.clone(), pair[1].0.clone())),
            _ => None,
        });
        Rc::make_mut(&mut known).extend(pairs);
        self.stack.push((Value::Dictionary(known), depth));
        Ok(())
    }

    /// Gives an object its fields.
    fn build(&mut self) -> Result<()> {
        let ((state, depth), (object, of_object)) = (self.pop()?, self.pop()?);
        if let Value::Dictionary(_) = object {
            // What Python notes beside its content.
            self.stack.push((object, of_object));
            return Ok(());
        }
        let Value::Object(object) = object else { bail!("gives fields to what is no object") };
        let fields = match state {
            Value::List(items) => items
                .chunks_exact(2)
                .map(|pair| match &pair[0] {
                    Value::Text(name) => Ok((name.clone(), pair[1].clone())),
                    _ => bail!("has a field without a name"),
                })
                .collect::<Result<_>>()?,
            _ => Vec::new(),
        };
        ensure!(depth < MAX_DEPTH, "has objects within objects, too deep");
        let class = object.class.clone();
        self.stack.push((Value::Object(Rc::new(Object { class, fields })), depth + 1));
        Ok(())
    }

    fn keep(&mut self, index: usize) -> Result<()> {
        ensure!(index < MAX_MEMO, "remembers too many values");
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(self.stack.last().context("has too few values")?.clone());
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<()> {
        let value = self.memo.get(index).cloned().flatten().context("recalls a value that it never had")?;
        self.stack.push(value);
        Ok(())
    }
}

/// The storage of a persistent id: ("storage", torch.FloatStorage, key, device, number of values).
fn storage(id: &Value) -> Result<Value> {
    let Value::List(parts) = id else { bail!("has a storage without a name") };
    let [Value::Text(_), Value::Global(class), Value::Text(key), ..] = &parts[..] else {
        bail!("has a storage without a name")
    };
    let Some(kind) = kind_of(class) else { return Ok(Value::Other) };
    Ok(Value::Storage(Rc::new(StorageId { kind, key: key.clone() })))
}

fn kind_of(class: &str) -> Option<Kind> {
    Some(match class.strip_prefix("torch.")?.strip_suffix("Storage")? {
        "Float" => Kind::Float,
        "Double" => Kind::Double,
        "Half" => Kind::Half,
        "BFloat16" => Kind::BFloat16,
        "Long" => Kind::Int64,
        "Int" => Kind::Int,
        "Short" => Kind::Int16,
        "Char" => Kind::Int8,
        "Byte" => Kind::Uint8,
        "Bool" => Kind::Bool,
        _ => return None,
    })
}

/// What a function gives: a tensor from its storage, offset, size and stride; of others nothing is known.
fn called(function: &Value, arguments: &Value) -> Result<Value> {
    let (Value::Global(function), Value::List(arguments)) = (function, arguments) else {
        bail!("calls what is no function")
    };
    match (function.as_str(), &arguments[..]) {
        ("torch._utils._rebuild_tensor_v2", _) => {}
        // What comes after the tensor are flags and hooks.
        ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => return Ok(tensor.clone()),
        ("collections.OrderedDict", []) => return Ok(Value::Dictionary(Rc::default())),
        _ => return Ok(Value::Other),
    }
    let [Value::Storage(storage), Value::Integer(offset), Value::List(size), Value::List(stride), ..] =
        &arguments[..]
    else {
        return Ok(Value::Other);
    };
    let numbers = |list: &[Value]| {
        let number = |value: &Value| match value {
            Value::Integer(number) if *number >= 0 => Ok(*number),
            _ => bail!("has a tensor without a shape"),
        };
        list.iter().map(number).collect::<Result<Vec<i64>>>()
    };
    let (size, stride) = (numbers(size)?, numbers(stride)?);
    ensure!(size.len() == stride.len() && *offset >= 0, "has a tensor without a shape");
    let StorageId { kind, key } = &**storage;
    let tensor = StoredTensor { storage: key.clone(), kind: *kind, offset: *offset, size, stride };
    Ok(Value::Tensor(Rc::new(tensor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::script::pickle::Pickle;

    fn tree() -> Vec<u8> {
        let mut pickle = Pickle::new();
        pickle.object("__torch__.a", "Net", |fields| {
            fields.text("training");
            fields.boolean(true);
            fields.text("conv");
            fields.object("__torch__.b", "Conv", |fields| {
                fields.text("weight");
                fields.tensor("7", &[2, 3], true);
            });
        });
        pickle.finish()
    }

    #[test]
    fn what_was_written_is_read() {
        let root = object(&tree()).unwrap();
        assert_eq!(root.class, "__torch__.a.Net");
        let [(training, Value::Boolean(place)), (name, Value::Object(conv))] = &root.fields[..] else {
            panic!("{root:?}")
        };
        assert_eq!((training.as_str(), name.as_str()), ("training", "conv"));
        assert_eq!(tree()[*place], 0x88);
        let [(_, Value::Tensor(weight))] = &conv.fields[..] else { panic!("{conv:?}") };
        let expected = StoredTensor {
            storage: "7".to_string(),
            kind: Kind::Float,
            offset: 0,
            size: vec![2, 3],
            stride: vec![3, 1],
        };
        assert_eq!(**weight, expected);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let whole = tree();
        for end in 0..whole.len() {
            assert!(object(&whole[..end]).is_err(), "{end}");
        }
        for place in 0..whole.len() {
            for byte in [0, b'(', b't', b'b', b'u', b'R', b'Q', b'h', b'q', 0x81, 0x85, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = byte;
                let _ = object(&damaged);
            }
        }
        let deep = [&[0x80, 2, b'N'][..], &vec![0x85; 100_000], b"."].concat();
        assert!(format!("{:#}", object(&deep).unwrap_err()).contains("too deep"));
    }
}
