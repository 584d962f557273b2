//! Lines of Python that make NumPy archives of files of arrays.

use super::neighbours::{pair, test_of, train_of};
use super::python::{quoted, quoted_folder};
use crate::data::content::holds_rows;
use std::path::{Path, PathBuf};

/// The archive beside a file.
fn npz(path: &Path) -> String {
    quoted(&path.with_extension("npz"))
}

/// The name of a file; none if it is not text.
fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

pub fn matlab(path: &Path) -> String {
    let imports = "import scipy.io, numpy as np";
    let file = quoted(path);
    let name = name_of(path).to_lowercase();
    if let Some(side) = name.strip_suffix("_32x32.mat") {
        // SVHN, in which 10 stands for the digit 0.
        let sides = match side {
            "train" => test_of(path).map(|test| [path.to_path_buf(), test]),
            _ => train_of(path).map(|train| [train, path.to_path_buf()]),
        };
        return match sides {
            Some([train, test]) => format!(
                "{imports}; a, b = [scipy.io.loadmat(p) for p in ({}, {})]; np.savez({}, \
                 x_train=np.moveaxis(a[\"X\"], -1, 0), y_train=a[\"y\"].ravel() % 10, \
                 x_test=np.moveaxis(b[\"X\"], -1, 0), y_test=b[\"y\"].ravel() % 10)",
                quoted(&train),
                quoted(&test),
                quoted(&path.with_file_name("svhn.npz"))
            ),
            None => format!(
                "{imports}; d = scipy.io.loadmat({file}); np.savez({}, x_train=np.moveaxis(d[\"X\"], -1, 0), \
                 y_train=d[\"y\"].ravel() % 10)",
                npz(path)
            ),
        };
    }
    if name.starts_with("emnist") {
        return format!(
            "{imports}; d = scipy.io.loadmat({file})[\"dataset\"][0, 0]; np.savez({}, **{{n + s: \
             d[s][0, 0][k].reshape(*z).swapaxes(-1, -len(z) + 1) for s in (\"train\", \"test\") for n, k, z \
             in \
             ((\"x_\", \"images\", (-1, 28, 28)), (\"y_\", \"labels\", (-1,)))}})",
            npz(path)
        );
    }
    format!(
        "{imports}; d = scipy.io.loadmat({file}); x = d.get(\"X\", d.get(\"data\")); y = d.get(\"y\", \
         d.get(\"label\")).ravel(); np.savez({}, x_train=np.moveaxis(x, -1, 0) if x.ndim > 2 else x.T \
         if len(x) != len(y) else x, y_train=y)",
        npz(path)
    )
}

pub fn matlab_7_3(path: &Path) -> String {
    format!(
        "import h5py, numpy as np; f = h5py.File({}); x, y = f[\"X\"][()], f[\"y\"][()].ravel(); \
         np.savez({}, \
         x_train=x.swapaxes(-1, -2) if x.ndim > 2 else x.T, y_train=y)",
        quoted(path),
        npz(path)
    )
}

/// All arrays of the file, those in groups too.
pub fn hdf5(path: &Path) -> String {
    format!(
        "import h5py, numpy as np; f = h5py.File({}); d = {{}}; f.visititems(lambda k, v: \
         d.update({{k.replace(\"/\", \"_\"): v[()]}} if hasattr(v, \"shape\") else {{}})); np.savez({}, **d)",
        quoted(path),
        npz(path)
    )
}

/// With the file of the labels beside it, and those of the test set.
pub fn npy(path: &Path) -> String {
    let [images, labels] =
        pair(path).unwrap_or_else(|| [path.to_path_buf(), path.with_file_name("LABELS.npy")]);
    let [images, labels] = match [&images, &labels].map(|path| train_of(path)) {
        [Some(images), Some(labels)] => [images, labels],
        _ => [images, labels],
    };
    let test = match [&images, &labels].map(|path| test_of(path)) {
        [Some(images), Some(labels)] => {
            format!(", x_test=np.load({}), y_test=np.load({})", quoted(&images), quoted(&labels))
        }
        _ => String::new(),
    };
    format!(
        "import numpy as np; np.savez({}, x_train=np.load({}), y_train=np.load({}){test})",
        npz(path),
        quoted(&images),
        quoted(&labels)
    )
}

/// A pair of tensors, with that of the test set, or tensors by name.
pub fn torch(path: &Path) -> String {
    let imports = "import torch, numpy as np";
    let sides = match (train_of(path), test_of(path)) {
        (Some(train), _) => Some([train, path.to_path_buf()]),
        (None, Some(test)) => Some([path.to_path_buf(), test]),
        (None, None) => None,
    };
    match sides {
        Some([train, test]) => format!(
            "{imports}; r = lambda p: torch.load(p, map_location=\"cpu\"); n = lambda d, s: {{k + s: \
             np.asarray(v) for k, v in d.items()}} if isinstance(d, dict) \
             else {{\"x_\" + s: np.asarray(d[0]), \"y_\" + s: np.asarray(d[1])}}; np.savez({}, \
             **n(r({}), \"train\"), **n(r({}), \"test\"))",
            npz(&train),
            quoted(&train),
            quoted(&test)
        ),
        None => format!(
            "{imports}; d = torch.load({}, map_location=\"cpu\"); d = d if isinstance(d, dict) else \
             dict(zip((\"x_train\", \"y_train\"), d)); \
             np.savez({}, **{{k: np.asarray(v) for k, v in d.items()}})",
            quoted(path),
            npz(path)
        ),
    }
}

pub fn safetensors(path: &Path) -> String {
    format!(
        "import numpy as np; from safetensors.numpy import load_file; np.savez({}, **load_file({}))",
        npz(path),
        quoted(path)
    )
}

/// The files of CIFAR to which one belongs, as patterns of names, and what becomes of them.
struct Cifar {
    train: String,
    test: Option<String>,
    npz: PathBuf,
}

impl Cifar {
    fn of(path: &Path, extension: &str) -> Cifar {
        let is_there = |name: &str| path.with_file_name(format!("{name}{extension}")).is_file();
        let name = name_of(path).strip_suffix(extension).unwrap_or_default();
        let is_batch = name.starts_with("data_batch") || name == "test_batch" && is_there("data_batch_1");
        let (train, test, npz) = match name {
            _ if is_batch => ("data_batch_*", "test_batch", path.with_file_name("cifar10.npz")),
            "train" | "test" if is_there("train") => ("train", "test", path.with_file_name("cifar100.npz")),
            _ => {
                // The name is no pattern.
                let name = name_of(path).replace('[', "[[]").replace('?', "[?]").replace('*', "[*]");
                return Cifar { train: name, test: None, npz: path.with_extension("npz") };
            }
        };
        let test = is_there(test).then(|| format!("{test}{extension}"));
        Cifar { train: format!("{train}{extension}"), test, npz }
    }

    /// The end of a line in which `r` reads the files of a pattern, and `x` and `y` take images and labels.
    fn saved(&self) -> String {
        let Cifar { train, test, npz } = self;
        let [train, npz] = [Path::new(train), npz].map(quoted);
        match test {
            Some(test) => format!(
                "a, b = r({train}), r({}); np.savez({npz}, x_train=x(a), y_train=y(a), x_test=x(b), \
                 y_test=y(b))",
                quoted(Path::new(test))
            ),
            None => format!("a = r({train}); np.savez({npz}, x_train=x(a), y_train=y(a))"),
        }
    }
}

/// As Python: the files of the pattern `n` in the folder of a file.
fn files_beside(path: &Path) -> String {
    let folder = quoted_folder(path.parent().unwrap_or(Path::new("")));
    format!("sorted(glob.glob(glob.escape({folder}) + n))")
}

pub fn pickled_cifar(path: &Path) -> String {
    format!(
        "import pickle, glob, numpy as np; r = lambda n: [pickle.load(open(p, \"rb\"), encoding=\"bytes\") \
         for p \
         in {}]; x = lambda d: np.concatenate([e[b\"data\"] for e in d]).reshape(-1, 3, 32, 32)\
         .transpose(0, 2, 3, 1); y = lambda d: np.concatenate([e.get(b\"labels\", e.get(b\"fine_labels\")) \
         for e \
         in d]); {}",
        files_beside(path),
        Cifar::of(path, "").saved()
    )
}

pub fn binary_cifar(path: &Path) -> String {
    // In CIFAR-100, the label of the finer classes comes second.
    let row = if holds_rows(path, 3073) { 3073 } else { 3074 };
    format!(
        "import numpy as np, glob; r = lambda n: np.concatenate([np.fromfile(p, \"u1\") for p in {}])\
         .reshape(-1, {row}); x = lambda a: a[:, -3072:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1); \
         y = lambda a: a[:, -3073]; {}",
        files_beside(path),
        Cifar::of(path, ".bin").saved()
    )
}
