//! TensorBoard's event files: scalars of training and validation in two folders, as Keras's callback has
//! them, and a text. It must not know training.
//!
//! Format: records of a length, its checksum, an `Event` message and its checksum (TensorFlow's
//! `record_writer.cc` and `event.proto`). A record is appended whole and flushed; a reader that comes in
//! between passes over what is not complete.

use crate::protobuf::{Bytes, Message as _, message};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The event files of a run.
#[derive(Debug)]
pub struct TensorBoard {
    train: EventFile,
    validation: EventFile,
}

impl TensorBoard {
    /// Begins the files below a folder, which is made.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(folder: &Path) -> Result<TensorBoard> {
        Ok(TensorBoard {
            train: EventFile::create(&folder.join("train"))?,
            validation: EventFile::create(&folder.join("validation"))?,
        })
    }

    /// Writes a text, shown as Markdown.
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
        self.train.append(0, vec![value])
    }

    /// Writes the scalars of an epoch: `epoch_NAME` for each metric and for the learning rate; those whose
    /// names start with `val_` go to validation without it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn epoch<'a>(
        &mut self,
        epoch: usize,
        metrics: impl IntoIterator<Item = (&'a str, f64)>,
        learning_rate: f64,
    ) -> Result<()> {
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (name, value) in metrics {
            match name.strip_prefix("val_") {
                Some(name) => validation.push(scalar(name, value)),
                None => train.push(scalar(name, value)),
            }
        }
        train.push(scalar("learning_rate", learning_rate));
        self.train.append(epoch, train)?;
        if !validation.is_empty() {
            self.validation.append(epoch, validation)?;
        }
        Ok(())
    }
}

fn scalar(name: &str, value: f64) -> Value {
    Value { tag: format!("epoch_{name}"), simple_value: Some(value as f32), tensor: None, metadata: None }
}

#[derive(Debug)]
struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    fn create(folder: &Path) -> Result<EventFile> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("events.out.tfevents.{:010}.fitch", now() as u64));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut events = EventFile { path, file };
        events.write(Event {
            wall_time: now(),
            file_version: Some("brain.Event:2".to_string()),
            ..Event::default()
        })?;
        Ok(events)
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

    #[test]
    fn the_checksum_is_that_of_tensorflow() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of RFC 3720");
        // Every event file of version 2 begins with the same record but for its time; its length is 24.
        assert_eq!(checksum(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
