//! A TorchScript file as it lies in memory: its entries by name, checked against damage. Nothing in it is run.

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::io::{Cursor, Read, copy, sink};
use std::ops::Range;
use zip::{CompressionMethod, ZipArchive};

/// Code that is longer, unpacked, is none.
const MAX_CODE: u64 = 64 << 20;

/// The whole file, and where its entries are.
#[derive(Debug)]
pub(crate) struct ScriptFile {
    bytes: Vec<u8>,
    /// Names below the one folder of the archive, in the order of the file.
    entries: Vec<(String, Content)>,
}

#[derive(Debug)]
enum Content {
    /// As it lies in the file.
    Stored(Range<usize>),
    /// Code is compressed.
    Unpacked(Vec<u8>),
}

impl ScriptFile {
    /// Takes the bytes of a file apart.
    ///
    /// # Errors
    /// No zip archive, a damaged one, or one without code.
    pub(crate) fn of(bytes: Vec<u8>) -> Result<ScriptFile> {
        ensure!(bytes.starts_with(b"PK"), "is not TorchScript: not a zip archive");
        let file = ScriptFile::archive(bytes)?;
        if file.get("constants.pkl").is_none() || file.code().next().is_none() {
            let what = match file.get("archive_format").is_some() || file.has_graph() {
                true => "is a program of torch.export",
                false => "holds weights without code, as torch.save writes them",
            };
            bail!("{what}, not TorchScript, as torch.jit.save writes it");
        }
        Ok(file)
    }

    /// The same for any archive of PyTorch's.
    ///
    /// # Errors
    /// No zip archive, or a damaged one.
    pub(crate) fn archive(bytes: Vec<u8>) -> Result<ScriptFile> {
        let mut archive =
            ZipArchive::new(Cursor::new(bytes.as_slice())).context("is a cut or damaged zip archive")?;
        let mut entries = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).context("is a damaged zip archive")?;
            let name = entry.name().to_string();
            let damaged = || format!("is damaged: {name} is not as it was written");
            // Both read to the end, where the checksum is compared.
            let content = if entry.compression() == CompressionMethod::Stored {
                let start = usize::try_from(entry.data_start())?;
                let end = start.saturating_add(usize::try_from(entry.size())?);
                copy(&mut entry, &mut sink()).with_context(damaged)?;
                ensure!(end <= bytes.len(), "is a cut zip archive");
                Content::Stored(start..end)
            } else {
                let mut unpacked = Vec::new();
                entry.by_ref().take(MAX_CODE).read_to_end(&mut unpacked).with_context(damaged)?;
                ensure!(unpacked.len() as u64 == entry.size(), "has more than {MAX_CODE} bytes of code");
                Content::Unpacked(unpacked)
            };
            if let Some((_, below)) = name.split_once('/') {
                entries.push((below.to_string(), content));
            }
        }
        Ok(ScriptFile { bytes, entries })
    }

    fn has_graph(&self) -> bool {
        self.entries.iter().any(|(name, _)| name.starts_with("models/"))
    }

    /// An entry by its name, `data.pkl`.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.entries().find(|(known, _)| *known == name).map(|(_, content)| content)
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(name, content)| match content {
            Content::Stored(range) => (name.as_str(), &self.bytes[range.clone()]),
            Content::Unpacked(content) => (name.as_str(), content.as_slice()),
        })
    }

    /// The files of code.
    pub(crate) fn code(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries().filter(|(name, _)| name.starts_with("code/") && name.ends_with(".py"))
    }
}

/// The SHA-256 of a file's bytes, in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
