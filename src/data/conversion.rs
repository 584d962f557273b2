//! What to do about a file of a kind that fitch does not read: mostly a line of Python that converts it.

use super::Fault;
use super::content::holds_rows;
use super::foreign_kind::{ENDINGS, ForeignKind};
use std::path::{Path, PathBuf};

impl ForeignKind {
    /// The fault of a file or a folder of such files.
    pub fn fault(self, path: &Path) -> Fault {
        Fault::ForeignKind { kind: self.name(), remedy: self.remedy(path) }
    }

    /// The fault of such images in a folder, as `images` counts them.
    pub fn fault_of_folder(self, folder: &Path, images: String) -> Fault {
        let endings = ENDINGS.iter().find(|(kind, _)| *kind == self).map_or(&[][..], |(_, endings)| endings);
        let suffixes: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
        let pillow = match self {
            ForeignKind::Heic => "import pillow_heif; pillow_heif.register_heif_opener(); ",
            ForeignKind::JpegXl => "import pillow_jxl; ",
            _ => "",
        };
        let remedy = format!(
            "this line of Python converts them: {pillow}import pathlib; from PIL import Image; \
             [Image.open(p).save(p.with_suffix('.png')) for p in pathlib.Path({:?}).rglob('*') \
             if p.suffix.lower() in {suffixes:?}]",
            folder.display().to_string()
        );
        Fault::ForeignImages { images, remedy }
    }

    /// What to do about it: mostly a line of Python.
    pub fn remedy(self, path: &Path) -> String {
        use ForeignKind::*;
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let file = quoted(path);
        let to = |extension: &str| quoted(&path.with_extension(extension));
        let (npz, csv, png) = (to("npz"), to("csv"), to("png"));
        let code = match self {
            GitLfs => return "`git lfs pull` in the repository fetches the file itself".to_string(),
            TorchScript => return "name a file or folder of images or a table".to_string(),
            Html => return "fetch the file again".to_string(),
            Pdf => return "save its images or its table as files".to_string(),
            OtherArchive => return "unpack it, and name the folder".to_string(),
            Heic => format!(
                "import pillow_heif; from PIL import Image; pillow_heif.register_heif_opener(); \
                 Image.open({file}).save({png})"
            ),
            JpegXl => format!("import pillow_jxl; from PIL import Image; Image.open({file}).save({png})"),
            Svg => format!("import cairosvg; cairosvg.svg2png(url={file}, write_to={png})"),
            Dicom => format!(
                "import pydicom; from PIL import Image; Image.fromarray(pydicom.dcmread({file}).pixel_array).save({png})"
            ),
            WebP | Gif | Tiff | Avif | Jpeg2000 | Netpbm | Photoshop | Icon => {
                format!("from PIL import Image; Image.open({file}).save({png})")
            }
            Matlab => format!(
                "import scipy.io, numpy as np; d = scipy.io.loadmat({file}); np.savez({npz}, \
                 x_train=np.moveaxis(d['X'], -1, 0) if d['X'].ndim > 2 else d['X'], y_train=d['y'].ravel())"
            ),
            Hdf5 => format!(
                "import h5py, numpy as np; f = h5py.File({file}); \
                 np.savez({npz}, x_train=f['x_train'][()], y_train=f['y_train'][()])  # list(f) shows the names"
            ),
            Npy => {
                let [images, labels] = npy_pair(path).map(|path| quoted(&path));
                format!(
                    "import numpy as np; np.savez({npz}, x_train=np.load({images}), y_train=np.load({labels}))"
                )
            }
            Torch => format!(
                "import torch, numpy as np; x, y = torch.load({file})[:2]; np.savez({npz}, x_train=x, y_train=y)"
            ),
            Safetensors => format!(
                "import numpy as np; from safetensors.numpy import load_file; np.savez({npz}, **load_file({file}))"
            ),
            PickledMnist => format!(
                "import gzip, pickle, numpy as np; (a, b), (c, d), (e, f) = pickle.load(gzip.open({file}), \
                 encoding='latin1'); np.savez({npz}, x_train=a, y_train=b, x_val=c, y_val=d, x_test=e, y_test=f)"
            ),
            PickledCifar => {
                let (files, npz) = batches(path, "");
                format!(
                    "import pickle, numpy as np; d = [pickle.load(open(p, 'rb'), encoding='bytes') for p in {files}]; \
                     np.savez({npz}, x_train=np.concatenate([e[b'data'] for e in d]).reshape(-1, 3, 32, 32)\
                     .transpose(0, 2, 3, 1), y_train=np.concatenate([e.get(b'labels') or e[b'fine_labels'] for e in d]))"
                )
            }
            BinaryCifar => {
                let (files, npz) = batches(path, ".bin");
                // In CIFAR-100, the label of the finer classes comes second.
                let row = if holds_rows(path, 3073) { 3073 } else { 3074 };
                format!(
                    "import numpy as np; a = np.concatenate([np.fromfile(p, 'u1') for p in {files}])\
                     .reshape(-1, {row}); np.savez({npz}, x_train=a[:, -3072:].reshape(-1, 3, 32, 32)\
                     .transpose(0, 2, 3, 1), y_train=a[:, -3073])"
                )
            }
            Pickle => format!(
                "import pandas as pd; pd.DataFrame(pd.read_pickle({file})).to_csv({csv}, index=False)"
            ),
            Zip | Tar => {
                format!("import shutil; shutil.unpack_archive({file}, {})", quoted(&path.with_extension("")))
            }
            Arff => format!(
                "import pandas as pd; from scipy.io import arff; t = pd.DataFrame(arff.loadarff({file})[0]); \
                 t.apply(lambda c: c.str.decode('utf-8') if c.dtype == object else c).to_csv({csv}, index=False)"
            ),
            Excel => format!("import pandas as pd; pd.read_excel({file}).to_csv({csv}, index=False)"),
            Json => format!("import pandas as pd; pd.read_json({file}).to_csv({csv}, index=False)"),
            JsonLines => {
                format!("import pandas as pd; pd.read_json({file}, lines=True).to_csv({csv}, index=False)")
            }
            TfRecord => format!(
                "import tensorflow as tf, numpy as np; d = [tf.train.Example.FromString(r.numpy()).features.feature \
                 for r in tf.data.TFRecordDataset({file})]; np.savez({npz}, \
                 x_train=[tf.io.decode_image(e['image'].bytes_list.value[0]).numpy() for e in d], \
                 y_train=[e['label'].int64_list.value[0] for e in d])"
            ),
            Arrow => {
                format!("import datasets; datasets.Dataset.from_file({file}).to_parquet({})", to("parquet"))
            }
            Npz => format!(
                "import numpy as np; x = np.load({file})['x_test']; \
                 np.savetxt({csv}, x.reshape(len(x), -1), '%g', ',')"
            ),
            Parquet => format!(
                "import pandas as pd; [open(f'{{i}}.png', 'wb').write(e['bytes']) \
                 for i, e in enumerate(pd.read_parquet({file})['image'])]"
            ),
            Sqlite => format!(
                "import sqlite3, pandas as pd; pd.read_sql('select * from NAME_OF_TABLE', sqlite3.connect({file}))\
                 .to_csv({csv}, index=False)"
            ),
        };
        format!("this line of Python converts it: {code}")
    }
}

/// The arrays of images and of labels, one of which is at `path`: by their names, `x_train.npy` and
/// `y_train.npy` or `images.npy` and `labels.npy`.
fn npy_pair(path: &Path) -> [PathBuf; 2] {
    const NAMES: [[&str; 2]; 6] = [
        ["images", "labels"],
        ["image", "label"],
        ["data", "labels"],
        ["data", "target"],
        ["X", "y"],
        ["x", "y"],
    ];
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for [images, labels] in NAMES {
        for (from, to) in [(images, labels), (labels, images)] {
            let other = path.with_file_name(name.replacen(from, to, 1));
            if name.contains(from) && other.is_file() && other != path {
                let path = path.to_path_buf();
                return if from == images { [path, other] } else { [other, path] };
            }
        }
    }
    [path.to_path_buf(), path.with_file_name("LABELS.npy")]
}

/// As Python: the files of the training batches beside a batch, or the file alone; and what they become.
fn batches(path: &Path, extension: &str) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    if name.starts_with("data_batch") {
        let all = path.with_file_name(format!("data_batch_*{extension}"));
        return (
            format!("sorted(__import__('glob').glob({}))", quoted(&all)),
            quoted(&path.with_file_name("cifar10.npz")),
        );
    }
    (format!("[{}]", quoted(path)), quoted(&path.with_extension("npz")))
}
