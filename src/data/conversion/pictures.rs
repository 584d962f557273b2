//! Lines of Python that make PNG files of images.

use super::python::quoted;
use crate::data::foreign_kind::{ENDINGS, ForeignKind};
use std::path::Path;

/// How images of a kind are opened and saved.
struct Steps {
    imports: &'static str,
    /// Names and what they stand for, in their order.
    names: Vec<(&'static str, String)>,
    /// The last step.
    saving: String,
}

/// The steps from one file to another, both expressions.
fn steps(kind: ForeignKind, from: &str, to: &str) -> Steps {
    let simple =
        |imports| Steps { imports, names: Vec::new(), saving: format!("Image.open({from}).save({to})") };
    match kind {
        ForeignKind::Heic => {
            simple("import pillow_heif; from PIL import Image; pillow_heif.register_heif_opener()")
        }
        ForeignKind::JpegXl => simple("import pillow_jxl; from PIL import Image"),
        // They may have more than 8 bits, or colours for print.
        ForeignKind::Tiff | ForeignKind::Jpeg2000 | ForeignKind::Netpbm | ForeignKind::Photoshop => {
            let mut names = vec![("i", format!("Image.open({from})"))];
            if kind == ForeignKind::Tiff {
                let scaled =
                    "i.point(lambda v: v * 65535) if i.mode == \"F\" and i.getextrema()[1] <= 1 else i";
                names.push(("i", scaled.to_string()));
            }
            // Big-endian values become what PNG has by way of 32 bits only.
            let saving = format!(
                "(i.convert(\"I\").convert(\"I;16\") if i.mode[0] in \"IF\" else i.convert(i.mode if i.mode \
                 in \
                 (\"1\", \"L\", \"LA\", \"P\", \"RGB\", \"RGBA\") else \"RGB\")).save({to})"
            );
            Steps { imports: "from PIL import Image", names, saving }
        }
        // Values may be negative.
        ForeignKind::Dicom => Steps {
            imports: "import pydicom; from PIL import Image",
            names: vec![("a", format!("pydicom.dcmread({from}).pixel_array"))],
            saving: format!(
                "Image.fromarray((a - min(int(a.min()), 0)).astype(\"u1\" if a.dtype.itemsize == 1 else \
                 \"u2\")).save({to})"
            ),
        },
        // A path would be a URL, in which # has a meaning.
        ForeignKind::Svg => Steps {
            imports: "import cairosvg",
            names: Vec::new(),
            saving: format!("cairosvg.svg2png(bytestring=open({from}, \"rb\").read(), write_to={to})"),
        },
        _ => simple("from PIL import Image"),
    }
}

/// Converts a file.
pub fn of_file(kind: ForeignKind, path: &Path) -> String {
    let Steps { imports, names, saving } = steps(kind, &quoted(path), &quoted(&path.with_extension("png")));
    let names: String = names.iter().map(|(name, value)| format!("{name} = {value}; ")).collect();
    format!("{imports}; {names}{saving}")
}

/// Converts the files of a folder and of those below it, but those beside which there is a PNG file.
pub fn of_folder(kind: ForeignKind, folder: &Path) -> String {
    let to = if kind == ForeignKind::Svg { "str(o)" } else { "o" };
    let Steps { imports, names, saving } = steps(kind, "p", to);
    let names: String = names.iter().map(|(name, value)| format!(" for {name} in [{value}]")).collect();
    let endings = ENDINGS.iter().filter(|(other, _)| *other == kind).flat_map(|(_, endings)| *endings);
    let suffixes: Vec<String> = endings.map(|ending| format!("\".{ending}\"")).collect();
    format!(
        "import pathlib; {imports}; [{saving} for p in pathlib.Path({}).rglob(\"*\") if p.suffix.lower() in \
         [{}] for o in [p.with_suffix(\".png\")] if not o.exists(){names}]",
        quoted(folder),
        suffixes.join(", ")
    )
}

/// Puts images into folders of their classes, as the first two columns of a table say them: names, with their
/// endings or without, and classes.
#[cfg_attr(not(feature = "images"), allow(dead_code))]
pub fn by_table(folder: &Path, table: &Path) -> String {
    let classes = folder.join("by-class");
    format!(
        "if its first two columns are names and classes, this line of Python puts the images into {}: \
         import csv, pathlib, shutil; n = {{k: p for p in pathlib.Path({}).rglob(\"*\") if p.is_file() for k in \
         (p.name, p.stem)}}; [(d.mkdir(parents=True, exist_ok=True), shutil.copy(n[pathlib.Path(x).name], d)) \
         for x, y, *_ in list(csv.reader(open({})))[1:] for d in [pathlib.Path({}) / y]]",
        classes.display(),
        quoted(folder),
        quoted(table),
        quoted(&classes)
    )
}

/// The packages of Python that do it.
#[cfg_attr(not(feature = "images"), allow(dead_code))]
pub fn packages(kind: ForeignKind) -> &'static str {
    match kind {
        ForeignKind::Heic => "Pillow and pillow_heif",
        ForeignKind::JpegXl => "Pillow and pillow_jxl",
        ForeignKind::Svg => "cairosvg",
        ForeignKind::Dicom => "pydicom and Pillow",
        _ => "Pillow",
    }
}
