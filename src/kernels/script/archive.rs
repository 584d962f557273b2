//! The container of PyTorch's files: a zip archive of stored files in one folder.

use anyhow::Result;
use std::io::{Cursor, Write};
use zip::write::FileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The folder within the archive, and the package of the classes.
pub(crate) const PACKAGE: &str = "fitch";
/// libtorch maps tensors from the file, at addresses that must suit its fastest instructions.
const ALIGNMENT: u16 = 64;
/// The version of the file format that libtorch 1.6 and later read.
const FORMAT_VERSION: &[u8] = b"4\n";

/// An archive that is being written.
pub(crate) struct Archive {
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl Archive {
    /// Begins one. The first file of TorchScript is `data.pkl`, the pickled object tree.
    pub(crate) fn new() -> Archive {
        Archive { zip: ZipWriter::new(Cursor::new(Vec::new())) }
    }

    /// Adds a file.
    pub(crate) fn put(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let options = FileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default());
        self.zip.start_file_aligned(format!("{PACKAGE}/{name}"), options, ALIGNMENT)?;
        Ok(self.zip.write_all(content)?)
    }

    /// Adds what every archive of TorchScript has, and gives the bytes.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        self.put("constants.pkl", b"\x80\x02).")?; // an empty tuple
        self.finish_data()
    }

    /// Adds what an archive of tensors without code has, and gives the bytes.
    pub(crate) fn finish_data(mut self) -> Result<Vec<u8>> {
        self.put("byteorder", b"little")?;
        self.put("version", FORMAT_VERSION)?;
        self.close()
    }

    /// The bytes of one that has everything.
    pub(crate) fn close(mut self) -> Result<Vec<u8>> {
        Ok(self.zip.finish()?.into_inner())
    }
}
