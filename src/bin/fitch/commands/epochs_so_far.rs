//! How far a run is, from the rows that its history.csv has got since the last look.

use fitch::metrics::Better;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What was read so far.
#[derive(Debug, Default)]
pub struct EpochsSoFar {
    /// In bytes, to the end of the last whole line.
    offset: u64,
    separator: u8,
    /// The column of the monitored metric.
    monitored: Option<usize>,
    has_head: bool,
    /// The number of rows.
    pub epochs: usize,
    /// The epoch in which the monitored metric was best, and its value.
    pub best: Option<(usize, f64)>,
}

impl EpochsSoFar {
    /// Reads what is new. A file that has become shorter is read anew.
    pub fn look(&mut self, path: &Path, monitor: &str, direction: Better) -> std::io::Result<()> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() < self.offset {
            *self = EpochsSoFar::default();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // Half a line is read when it is whole.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        for line in text[..whole].split_inclusive(|&byte| byte == b'\n') {
            self.take(&String::from_utf8_lossy(line), monitor, direction);
        }
        Ok(())
    }

    fn take(&mut self, line: &str, monitor: &str, direction: Better) {
        if !self.has_head {
            self.has_head = true;
            self.separator =
                [b';', b'\t'].into_iter().find(|&byte| line.contains(byte as char)).unwrap_or(b',');
            self.monitored = line.trim_end().split(self.separator as char).position(|name| name == monitor);
            return;
        }
        self.epochs += 1;
        let cell =
            self.monitored.and_then(|column| line.trim_end().split(self.separator as char).nth(column));
        let value =
            cell.and_then(|cell| cell.replace(',', ".").parse().ok()).filter(|value: &f64| value.is_finite());
        if let Some(value) = value
            && self.best.is_none_or(|(_, best)| direction.is_better(value, best))
        {
            self.best = Some((self.epochs, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_is_new_is_read_and_half_a_line_waits() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("history.csv");
        let add = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let mut so_far = EpochsSoFar::default();
        let mut look = || {
            so_far.look(&path, "val_loss", Better::Lower).unwrap();
            (so_far.epochs, so_far.best)
        };
        add("epoch;loss;val_loss\n");
        assert_eq!(look(), (0, None));
        add("1;0,5;nan\n2;0,4;0,75\n3;0,3;0,");
        assert_eq!(look(), (2, Some((2, 0.75))));
        add("5\n4;0,2;0,6\n");
        assert_eq!(look(), (4, Some((3, 0.5))));
        std::fs::write(&path, "epoch,val_loss\n1,0.9\n").unwrap();
        assert_eq!(look(), (1, Some((1, 0.9))));
    }
}
