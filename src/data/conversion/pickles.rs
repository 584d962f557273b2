//! Lines of Python for its own pickles, which may hold anything: the first bytes say what is likely.

use super::neighbours::pair;
use super::python::quoted;
use crate::data::content::first_bytes;
use std::path::Path;

/// For a pickle, gzipped or not.
pub fn pickle(path: &Path, stem: &str, is_gzip: bool) -> String {
    let head = first_bytes(path);
    let holds = |word: &[u8], within: usize| {
        head[..within.min(head.len())].windows(word.len()).any(|bytes| bytes == word)
    };
    let imports = if is_gzip { "import gzip, pickle" } else { "import pickle" };
    let opened = |place: &str| match is_gzip {
        true => format!("gzip.open({place})"),
        false => format!("open({place}, \"rb\")"),
    };
    let loaded = |path: &Path| format!("pickle.load({}, encoding=\"latin1\")", opened(&quoted(path)));
    let to = |extension: &str| quoted(&path.with_file_name(format!("{stem}.{extension}")));
    let (npz, csv) = (to("npz"), to("csv"));
    let is_of_pandas = holds(b"pandas", head.len());
    // After the protocol or, in newer ones, the length of a frame.
    let is_dict = head.get(2) == Some(&b'}') || head.get(2) == Some(&0x95) && head.get(11) == Some(&b'}');
    // Not an object of another kind with arrays in it.
    let begins_with_array = holds(b"numpy", 24) && !is_dict;
    let is_mnist = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase().contains("mnist");
    let arrays = "{k: v for k, v in d.items() if isinstance(v, (list, np.ndarray))}";
    if is_mnist && !is_of_pandas && !is_dict {
        return format!(
            "{imports}, numpy as np; d = {}; n = (\"train\", \"val\", \"test\") if len(d) == 3 else \
             (\"train\", \
             \"test\"); np.savez({npz}, **{{k + s: a.reshape(-1, 28, 28) if a.ndim == 2 and a.shape[1] == \
             784 \
             else a for s, p in zip(n, d) for k, a in zip((\"x_\", \"y_\"), p)}})",
            loaded(path)
        );
    }
    if let Some([images, labels]) = pair(path).filter(|_| !is_of_pandas && !is_dict) {
        return format!(
            "{imports}, numpy as np; x, y = {}, {}; np.savez({npz}, x_train=x, y_train=y)",
            loaded(&images),
            loaded(&labels)
        );
    }
    if is_of_pandas && !is_dict {
        let load = if is_gzip { ", compression=\"gzip\"" } else { "" };
        return format!(
            "import pandas as pd; pd.DataFrame(pd.read_pickle({}{load})).to_csv({csv}, index=False)",
            quoted(path)
        );
    }
    if is_dict && !is_of_pandas {
        return format!("{imports}, numpy as np; d = {}; np.savez({npz}, **{arrays})", loaded(path));
    }
    if begins_with_array {
        return format!(
            "{imports}, numpy as np; x, y = {}[:2]; np.savez({npz}, x_train=x, y_train=y)",
            loaded(path)
        );
    }
    format!(
        "{imports}, numpy as np, pandas as pd; d = {}; np.savez({npz}, **{arrays}) if isinstance(d, dict) \
         else \
         pd.DataFrame(d).to_csv({csv}, index=False)",
        loaded(path)
    )
}
