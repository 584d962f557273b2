//! Lines of Python for tables, records and archives, and for data sets where images to classify are expected.

use super::python::{quoted, quoted_folder};
use crate::data::content::first_bytes;
use crate::data::foreign_kind::ForeignKind;
use std::path::{Path, PathBuf};

/// What is beside a file, under its name with another ending.
fn to(path: &Path, extension: &str) -> String {
    quoted(&path.with_extension(extension))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// With a function of pandas.
pub fn pandas(function: &str, path: &Path, options: &str) -> String {
    format!(
        "import pandas as pd; pd.{function}({}{options}).to_csv({}, index=False)",
        quoted(path),
        to(path, "csv")
    )
}

pub fn arff(path: &Path) -> String {
    format!(
        "import pandas as pd; from scipy.io import arff; t = pd.DataFrame(arff.loadarff({})[0]); \
         t.apply(lambda c: c.str.decode(\"utf-8\") if c.dtype == object else c).to_csv({}, index=False)",
        quoted(path),
        to(path, "csv")
    )
}

/// The first table; the names of all are printed.
pub fn sqlite(path: &Path) -> String {
    format!(
        "import sqlite3, pandas as pd; c = sqlite3.connect({}); t = [n for n, in c.execute(\"select name \
         from \
         sqlite_master where type=\\\"table\\\"\")]; print(t); pd.read_sql(f\"select * from \
         \\\"{{t[0]}}\\\"\", \
         c).to_csv({}, index=False)",
        quoted(path),
        to(path, "csv")
    )
}

/// A table of Arrow's own, a data set that Hugging Face's library saved, or a file of its cache. Images stay
/// in a table that is read with them.
pub fn arrow(path: &Path) -> String {
    let is_feather = path.extension().is_some_and(|ending| ending == "feather");
    if is_feather || first_bytes(path).starts_with(b"ARROW1") {
        return format!(
            "import pandas as pd; t = pd.read_feather({}); t.to_parquet({}) if {{\"image\", \"img\"}} & \
             {{*t}} else t.to_csv({}, index=False)",
            quoted(path),
            to(path, "parquet"),
            to(path, "csv")
        );
    }
    let saved = |place: &str, name: &str| {
        format!(
            "v.to_parquet({place}{name}.parquet\") if {{\"image\", \"img\"}} & {{*v.features}} else \
             v.to_csv({place}{name}.csv\")"
        )
    };
    let folder = folder_of(path);
    if folder.join("state.json").is_file() {
        let whole = folder_of(folder);
        let folder = if whole.join("dataset_dict.json").is_file() { whole } else { folder };
        let shown = if folder == Path::new("") { Path::new(".") } else { folder };
        return format!(
            "import datasets; d = datasets.load_from_disk({}); [{} for k, v in (d if isinstance(d, dict) \
             else {{\"train\": d}}).items()]",
            quoted(shown),
            saved(&format!("{} + k + ", quoted_folder(folder)), "\"")
        );
    }
    let place = quoted(&path.with_extension(""));
    format!(
        "import datasets; v = datasets.Dataset.from_file({}); {}",
        quoted(path),
        saved("", place.trim_end_matches('"'))
    )
}

/// With the other files of the set that a name such as `train.tfrecord-00000-of-00010` speaks of.
pub fn tf_record(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.rsplit_once("-of-").and_then(|(before, count)| {
        let (start, number) = before.rsplit_once('-')?;
        let (count, ending) = count.split_at(count.find('.').unwrap_or(count.len()));
        (is_number(number) && is_number(count)).then(|| (format!("{start}-"), format!("-of-{count}{ending}")))
    });
    let (import, files) = match parts {
        Some((start, end)) => {
            let start = quoted(&path.with_file_name(start));
            let end = quoted(Path::new(&format!("*{end}")));
            (", glob", format!("sorted(glob.glob(glob.escape({start}) + {end}))"))
        }
        None => ("", quoted(path)),
    };
    format!(
        "import tensorflow as tf, numpy as np{import}; d = \
         [tf.train.Example.FromString(r.numpy()).features.feature \
         for r in tf.data.TFRecordDataset({files})]; g = lambda e, *n: next(e[k] for k in n if k in e); \
         np.savez({}, x_train=[tf.io.decode_image(g(e, \"image\", \"image/encoded\", \"image_raw\")\
         .bytes_list.value[0]).numpy() for e in d], y_train=[g(e, \"label\", \"class\", \
         \"image/class/label\")\
         .int64_list.value[0] for e in d])",
        to(path, "npz")
    )
}

/// The folder for the files of an archive: called like it, but never the archive itself.
fn unpacked(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = ForeignKind::Zip.stem(&name).or_else(|| ForeignKind::Tar.stem(&name));
    let folder = stem.map_or_else(|| path.with_extension(""), |stem| path.with_file_name(stem));
    match folder == path || folder.is_file() {
        true => path.with_file_name(format!("{name}-files")),
        false => folder,
    }
}

pub fn zip(path: &Path) -> String {
    format!("import zipfile; zipfile.ZipFile({}).extractall({})", quoted(path), quoted(&unpacked(path)))
}

pub fn tar(path: &Path) -> String {
    format!(
        "import tarfile; tarfile.open({}).extractall({}, filter=\"data\")",
        quoted(path),
        quoted(&unpacked(path))
    )
}

/// A row for each image to classify.
pub fn npz_to_classify(path: &Path) -> String {
    format!(
        "import numpy as np; d = np.load({}); x = next(d[n] for n in (\"x_test\", \"x\", \"images\", \
         \"x_train\", \
         *d) if n in d); x = np.moveaxis(x, 1, -1) if x.ndim == 4 and x.shape[-1] > 3 else x; np.savetxt({}, \
         x.reshape(len(x), -1), \"%.9g\", \",\")",
        quoted(path),
        to(path, "csv")
    )
}

/// A file for each image to classify, beside the table.
pub fn parquet_to_classify(path: &Path) -> String {
    format!(
        "import pandas as pd; t = pd.read_parquet({}); [open({} + str(i) + \".png\", \
         \"wb\").write(e[\"bytes\"]) \
         for i, e in enumerate(t[\"image\" if \"image\" in t else \"img\"])]",
        quoted(path),
        quoted_folder(folder_of(path))
    )
}
