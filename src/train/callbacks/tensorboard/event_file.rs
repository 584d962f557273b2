//! TensorBoard's event file: scalars and texts.
//!
//! The format is that of TensorFlow's `record_writer.cc` and `event.proto`: records of a length, its
//! checksum, an `Event` message and its checksum. A record is appended in one write; a reader skips one that
//! is not complete yet.

use crate::protobuf::{Bytes, Message as _, message};
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in a folder, which is created. Its name has the time and the process, and where that is not
    /// enough, as for one that resumes within a second, a number.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(folder: &Path) -> Result<EventFile> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let start = format!("events.out.tfevents.{:010}.{}", now() as u64, std::process::id());
        let mut index = 0;
        let (path, file) = loop {
            let path = folder.join(format!("{start}.{index}.fitch"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(fault) if fault.kind() == ErrorKind::AlreadyExists => index += 1,
                file => {
                    break (path.clone(), file.with_context(|| format!("cannot write {}", path.display()))?);
                }
            }
        };
        let mut events = EventFile { path, file };
        events.write(Event {
            wall_time: now(),
            file_version: Some("brain.Event:2".to_string()),
            ..Event::default()
        })?;
        Ok(events)
    }

    /// Appends scalars (tag, value) of an epoch.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&mut self, epoch: usize, scalars: Vec<(String, f64)>) -> Result<()> {
        let value = |(tag, value): (String, f64)| Value {
            tag,
            simple_value: Some(value as f32),
            tensor: None,
            metadata: None,
        };
        self.append(epoch, scalars.into_iter().map(value).collect())
    }

    /// Appends a text, which TensorBoard shows as Markdown.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn text(&mut self, tag: &str, text: &str) -> Result<()> {
        const STRING: i32 = 7; // DataType.DT_STRING
        let value = Value {
            tag: tag.to_string(),
            simple_value: None,
            tensor: Some(TensorProto { dtype: STRING, strings: vec![Bytes(text.as_bytes().to_vec())] }),
            metadata: Some(Metadata { plugin: Some(Plugin { name: "text".to_string() }) }),
        };
        self.append(0, vec![value])
    }

    fn append(&mut self, step: usize, values: Vec<Value>) -> Result<()> {
        let summary = Some(Summary { values });
        self.write(Event { wall_time: now(), step: step as i64, file_version: None, summary })
    }

    fn write(&mut self, event: Event) -> Result<()> {
        let content = event.to_bytes();
        let length = (content.len() as u64).to_le_bytes();
        let record = [&length[..], &checksum(&length), content.as_slice(), &checksum(&content)].concat();
        self.file.write_all(&record).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The last step of all files in a folder. What cannot be read counts as not there: TensorBoard does not show
/// it either.
pub fn last_step(folder: &Path) -> Option<usize> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let files = names.filter(|path| path.extension().is_some_and(|extension| extension == "fitch"));
    files.filter_map(|path| steps(&fs::read(path).ok()?).max()).max()
}

/// The steps of the events of a file that have values, up to the first record that is not whole.
fn steps(mut bytes: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let content = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let end = rest[content.len()..].get(..4)?;
        if *sum != checksum(length) || end != checksum(content) {
            return None;
        }
        bytes = &rest[content.len() + 4..];
        Some(content)
    })
    .filter_map(step_of)
}

/// The step of an event with values, which follows its time: field 2, then field 5. Step 0 is not written, as
/// every field that is 0.
fn step_of(event: &[u8]) -> Option<usize> {
    const TIME: usize = 9;
    const STEP: u8 = 2 << 3;
    const SUMMARY: u8 = 5 << 3 | 2;
    let rest = event.get(TIME..)?;
    let Some(varint) = rest.strip_prefix(&[STEP]) else { return rest.starts_with(&[SUMMARY]).then_some(0) };
    let length = varint.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let step = varint[..length]
        .iter()
        .rev()
        .try_fold(0usize, |step, &byte| step.checked_mul(128)?.checked_add((byte & 0x7f).into()))?;
    varint[length..].starts_with(&[SUMMARY]).then_some(step)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// CRC-32C, masked as TensorFlow does it.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Castagnoli's polynomial, bit by bit: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 * (sum & 1));
    !bytes.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), bit))
}

message! {
    struct Event {
        1 => wall_time: f64,
        2 => step: i64,
        3 => file_version: Option<String>,
        5 => summary: Option<Summary>,
    }
}

message! {
    struct Summary {
        1 => values: Vec<Value>,
    }
}

message! {
    struct Value {
        1 => tag: String,
        2 => simple_value: Option<f32>,
        8 => tensor: Option<TensorProto>,
        9 => metadata: Option<Metadata>,
    }
}

message! {
    struct TensorProto {
        1 => dtype: i32,
        8 => strings: Vec<Bytes>,
    }
}

message! {
    struct Metadata {
        1 => plugin: Option<Plugin>,
    }
}

message! {
    struct Plugin {
        1 => name: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A resume within the second of the start emptied the file of the start.
    #[test]
    fn files_of_the_same_second_stay_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(folder.path()).unwrap();
        first.scalars(1, vec![("loss".to_string(), 0.5)]).unwrap();
        let length = first.path.metadata().unwrap().len();
        let second = EventFile::create(folder.path()).unwrap();
        assert_ne!(first.path, second.path);
        assert_eq!(first.path.metadata().unwrap().len(), length);
    }

    #[test]
    fn the_last_whole_step_is_found_in_all_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last_step(folder.path()), None);
        let mut first = EventFile::create(folder.path()).unwrap();
        assert_eq!(last_step(folder.path()), None, "the first record has no values");
        first.text("summary", "text").unwrap();
        assert_eq!(last_step(folder.path()), Some(0));
        for epoch in [1, 127, 128, 300_000] {
            first.scalars(epoch, vec![("loss".to_string(), 0.5)]).unwrap();
            assert_eq!(last_step(folder.path()), Some(epoch));
        }
        let _second = EventFile::create(folder.path()).unwrap();
        assert_eq!(last_step(folder.path()), Some(300_000));
        // The process was killed within a write.
        let whole = fs::read(&first.path).unwrap();
        fs::write(&first.path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(last_step(folder.path()), Some(128));
        for end in 0..whole.len() {
            steps(&whole[..end]).for_each(drop);
        }
    }

    #[test]
    fn the_checksum_is_that_of_tensorflow() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of RFC 3720");
        // Every event file of version 2 begins with the same record but for its time; its length is 24.
        assert_eq!(checksum(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
