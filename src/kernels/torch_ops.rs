//! Operators of libtorch that tch does not bind, without C++: a TorchScript module of nothing but code
//! reaches every one of them.

use crate::kernels::script::archive::{Archive, PACKAGE};
use crate::kernels::script::pickle::Pickle;
use anyhow::Result;
use std::io::Cursor;
use tch::{CModule, Device};

/// A module without parameters, of a class of that name, whose methods can be called. `methods` is their code
/// in TorchScript, indented by two spaces.
///
/// # Errors
/// An operator that this libtorch does not have.
pub fn load(class: &str, methods: &str, device: Device) -> Result<CModule> {
    let mut pickle = Pickle::new();
    pickle.object(&format!("__torch__.{PACKAGE}"), class, |fields| {
        fields.text("training");
        fields.boolean(false);
    });
    let head = "(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n";
    let mut archive = Archive::new();
    archive.put("data.pkl", &pickle.finish())?;
    archive
        .put(&format!("code/__torch__/{PACKAGE}.py"), format!("class {class}{head}{methods}").as_bytes())?;
    Ok(CModule::load_data_on_device(&mut Cursor::new(archive.finish()?), device)?)
}
