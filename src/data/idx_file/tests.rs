use super::*;
#[cfg(feature = "images")]
use crate::data::Inversion;
#[cfg(feature = "images")]
use crate::data::inputs::{InputSpec, inputs};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

fn idx(type_code: u8, sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, type_code, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn images_from(bytes: &[u8]) -> Result<Tensor> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images");
    std::fs::write(&path, bytes).unwrap();
    read_images(&path)
}

fn fault(bytes: &[u8]) -> String {
    let fault = format!("{:#}", images_from(bytes).unwrap_err());
    assert!(fault.contains("images: "), "the file is named: {fault}");
    fault
}

const VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255];

#[test]
fn raw_and_gzipped_files_give_the_same_images() {
    let bytes = idx(8, &[2, 3, 2], &VALUES);
    for file in [bytes.clone(), gzip(&bytes)] {
        let images = images_from(&file).unwrap();
        assert_eq!(images.size(), [2, 3, 2]);
        assert_eq!(images.kind(), Kind::Uint8);
        assert_eq!(Vec::<u8>::try_from(images.view([-1])).unwrap(), VALUES);
    }
}

#[test]
fn every_type_and_number_of_dimensions_is_read() {
    let i16s: Vec<u8> = [1i16, -2].iter().flat_map(|value| value.to_be_bytes()).collect();
    let f32s: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|value| value.to_be_bytes()).collect();
    let f64s: Vec<u8> = [0.25f64, 3.0].iter().flat_map(|value| value.to_be_bytes()).collect();
    let i32s: Vec<u8> = [70_000i32, -1].iter().flat_map(|value| value.to_be_bytes()).collect();
    for (type_code, bytes, values) in [
        (0x08, &[200u8, 7][..], [200.0, 7.0]),
        (0x09, &[0xff, 7], [-1.0, 7.0]),
        (0x0b, &i16s, [1.0, -2.0]),
        (0x0c, &i32s, [70_000.0, -1.0]),
        (0x0d, &f32s, [0.5, -2.0]),
        (0x0e, &f64s, [0.25, 3.0]),
    ] {
        for sizes in [&[2, 1][..], &[1, 2, 1], &[2, 1, 1, 1]] {
            let file = idx(type_code, sizes, bytes);
            for bytes in [file.clone(), gzip(&file)] {
                let images = images_from(&bytes).unwrap().to_kind(Kind::Double).view([-1]);
                assert_eq!(Vec::<f64>::try_from(images).unwrap(), values, "{type_code:#x}");
            }
        }
    }
    let colour = images_from(&idx(8, &[2, 1, 2, 3], &VALUES)).unwrap();
    assert_eq!(colour.size(), [2, 3, 1, 2]);
    assert_eq!(Vec::<u8>::try_from(colour.get(0).view([-1])).unwrap(), [0, 3, 1, 4, 2, 5]);
    assert_eq!(images_from(&idx(8, &[1, 3, 2, 2], &VALUES)).unwrap().size(), [1, 3, 2, 2]);
}

#[test]
fn a_gzip_of_several_members_is_read_whole() {
    let bytes = idx(8, &[2, 3, 2], &VALUES);
    let (head, tail) = bytes.split_at(20);
    let images = images_from(&[gzip(head), gzip(tail)].concat()).unwrap();
    assert_eq!(Vec::<u8>::try_from(images.view([-1])).unwrap(), VALUES);
}

#[test]
fn wrong_headers_are_refused() {
    assert!(fault(&[1, 2, 8, 3, 0, 0, 0, 0]).contains("not an IDX file"));
    assert!(fault(&idx(0x0a, &[2, 3, 2], &VALUES)).contains("type code 0x0a"));
    assert!(fault(&idx(8, &[12], &VALUES)).contains("1 dimensions; images have 2 to 4"));
    assert!(fault(&idx(8, &[1, 2, 3, 2], &VALUES)).contains("images have 1 or 3 channels"));
    assert!(fault(&idx(0x0d, &[2, 3, 2], &VALUES)).contains("is cut short"));
    assert!(fault(&[]).contains("is empty"));
    assert!(fault(&[0, 0, 8]).contains("ends within its header"));
    assert!(fault(&idx(8, &[2, 3, 2], &[])[..10]).contains("ends within its header"));
    assert!(fault(&gzip(&[0, 0, 8])).contains("ends within its header"));
    assert!(fault(&idx(8, &[0, 28, 28], &[])).contains("holds no pixels"));
}

#[test]
fn sizes_are_compared_with_the_file() {
    assert!(fault(&idx(8, &[2, 3, 2], &VALUES[..11])).contains("is cut short"));
    assert!(fault(&idx(8, &[1, 3, 2], &VALUES)).contains("is too long"));
    assert!(fault(&gzip(&idx(8, &[2, 3, 2], &VALUES[..11]))).contains("is cut short"));
    assert!(fault(&gzip(&idx(8, &[1, 3, 2], &VALUES))).contains("expands beyond the 6 bytes"));
}

#[test]
fn huge_sizes_are_refused_without_reserving_memory() {
    let largest = u32::MAX;
    for file in [idx(8, &[largest; 3], &VALUES), gzip(&idx(8, &[largest; 3], &VALUES))] {
        assert!(fault(&file).contains("too large for any file"));
    }
    assert!(fault(&idx(8, &[largest, 28, 28], &VALUES)).contains("is cut short"));
    assert!(fault(&gzip(&idx(8, &[largest, 28, 28], &VALUES))).contains("more than a gzip file"));
}

#[test]
fn damaged_gzip_files_are_refused() {
    let values: Vec<u8> = (0..40_000u32).map(|i| (i * i % 251) as u8).collect();
    let whole = gzip(&idx(8, &[100, 20, 20], &values));
    assert!(fault(&whole[..whole.len() / 2]).contains("cut short"));
    assert!(fault(&whole[..whole.len() - 4]).contains("cut short"), "without its checksum");
    let mut damaged = whole.clone();
    let last = damaged.len() - 6; // within the CRC
    damaged[last] ^= 0xff;
    assert!(fault(&damaged).contains("corrupt gzip"));
    let mut damaged = whole;
    damaged[60] ^= 0xff;
    let fault = fault(&damaged);
    assert!(fault.contains("gzip") || fault.contains("cut short"), "{fault}");
}

#[test]
fn a_stream_gives_the_images_one_by_one_and_checks_the_end() {
    let stream = |bytes: &[u8]| -> Vec<Result<Vec<f32>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        std::fs::write(&path, bytes).unwrap();
        stream_images(&path).unwrap().collect()
    };
    let bytes = idx(8, &[2, 3, 2], &VALUES);
    for file in [bytes.clone(), gzip(&bytes)] {
        let images: Vec<Vec<f32>> = stream(&file).into_iter().map(Result::unwrap).collect();
        let values = VALUES.map(f32::from);
        assert_eq!(images, [&values[..6], &values[6..]]);
    }
    let cut = gzip(&idx(8, &[2, 3, 2], &VALUES[..11]));
    let long = gzip(&idx(8, &[2, 3, 2], &[VALUES, VALUES].concat()));
    let whole = gzip(&bytes);
    for file in [&cut[..], &long, &whole[..whole.len() - 4]] {
        let images = stream(file);
        assert!(images.len() == 2 && images[0].is_ok() && images[1].is_err(), "{images:?}");
    }
}

#[test]
fn a_stream_gives_what_is_read_whole_of_every_type_and_shape() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images");
    let bytes: Vec<u8> = (0..96).map(|byte| byte % 60).collect();
    let code_and_size = [(8, 1), (9, 1), (0x0b, 2), (0x0c, 4), (0x0d, 4), (0x0e, 8)];
    for (code, size) in code_and_size {
        for sizes in [&[2, 6][..], &[2, 2, 3], &[2, 2, 2, 3], &[2, 3, 2, 2], &[2, 3, 2, 1], &[2, 1, 3, 2]] {
            let values = sizes.iter().product::<u32>() as usize;
            let length = values * size;
            let content: Vec<u8> = bytes.iter().copied().cycle().take(length).collect();
            std::fs::write(&path, idx(code, sizes, &content)).unwrap();
            let whole = read_images(&path).unwrap();
            let stream = stream_images(&path).unwrap();
            assert_eq!((stream.shape(), stream.is_raw()), (&whole.size()[1..], code == 8));
            let one_by_one: Vec<f32> = stream.flat_map(Result::unwrap).collect();
            let whole = Vec::<f32>::try_from(whole.to_kind(Kind::Float).view([-1])).unwrap();
            assert_eq!(one_by_one, whole, "type {code}, {sizes:?}");
        }
    }
}

#[test]
fn folders_and_missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let fault = format!("{:#}", read_images(folder.path()).unwrap_err());
    assert!(fault.contains("is not a file"), "{fault}");
    let missing = folder.path().join("nothing");
    let fault = format!("{:#}", read_labels(&missing).unwrap_err());
    assert!(fault.contains("nothing: cannot be opened: No such file"), "{fault}");
}

#[test]
#[cfg(feature = "images")]
fn emnist_is_turned_when_it_is_read_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, shape: [i64; 2], transposes: Option<bool>| {
        let path = folder.path().join(name);
        std::fs::write(&path, idx(8, &[1, 2, 3], &[1, 2, 3, 4, 5, 255])).unwrap();
        let spec = InputSpec::new(&shape, 255.0, Inversion::Never).unwrap().transposed(transposes);
        let values = inputs(&path, spec).next().unwrap().unwrap().values;
        values.iter().map(|value| (value * 255.0).round() as u8).collect::<Vec<u8>>()
    };
    assert_eq!(read("images", [2, 3], None), [1, 2, 3, 4, 5, 255]);
    assert_eq!(read("emnist-images", [3, 2], None), [1, 4, 2, 5, 3, 255]);
    assert_eq!(read("emnist-images", [2, 3], Some(false)), [1, 2, 3, 4, 5, 255]);
    assert_eq!(read("images", [3, 2], Some(true)), [1, 4, 2, 5, 3, 255]);
}
