// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the driver knows about an address.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{In, Out},
    code::{Answer, Code},
    contexts,
    entry::entries,
    space::{Mapping, Origin, READ_WRITE, space},
};
use std::{
    ffi::{c_int, c_uint, c_void},
    sync::Arc,
};

/// The value of an attribute, as wide as `cuda.h` says.
enum Value {
    Int(c_int),
    Long(u64),
    Byte(u8),
}

impl Value {
    fn put(self, out: Out<c_void>) -> Answer {
        match self {
            Value::Int(value) => out.cast().put(value),
            Value::Long(value) => out.cast().put(value),
            Value::Byte(value) => out.cast().put(value),
        }
    }
}

fn attribute(number: c_int, address: u64, mapping: &Mapping) -> Answer<Value> {
    let offset = address - mapping.start;
    let is_host = mapping.origin.is_host();
    Ok(match number {
        1 => Value::Long(contexts::of_ordinal(mapping.owner).map_or(0, |context| context.handle)),
        2 => Value::Int(if is_host { 1 } else { 2 }),
        3 => Value::Long(address),
        4 if is_host => Value::Long(mapping.base as u64 + offset),
        7 => Value::Long(mapping.id),
        8 => Value::Byte(0),
        9 => Value::Int(c_int::try_from(mapping.owner).unwrap_or_default()),
        10 => Value::Byte(u8::from(matches!(mapping.origin, Origin::Legacy))),
        11 => Value::Long(mapping.start),
        12 => Value::Long(mapping.len as u64),
        13 => Value::Byte(u8::from(mapping.is_mapped())),
        14 => Value::Int(c_int::from(matches!(mapping.origin, Origin::Virtual { .. }))),
        16 => Value::Int(c_int::from(mapping.access_of(mapping.owner) & READ_WRITE)),
        17 => Value::Long(match mapping.origin {
            Origin::Pool { pool, .. } | Origin::PoolImport { pool } => pool,
            _ => 0,
        }),
        _ => return Err(Code::INVALID_VALUE),
    })
}

/// What stands in an answer about an address that the driver doesn't know.
fn unknown(number: c_int) -> Value {
    match number {
        8 | 10 | 13 => Value::Byte(0),
        9 => Value::Int(-2),
        2 | 14 | 16 => Value::Int(0),
        _ => Value::Long(0),
    }
}

fn mapping_at(address: u64) -> Option<(Arc<Mapping>, u64)> {
    let space = space();
    if let Some(mapping) = space.at(address) {
        return Some((Arc::clone(mapping), address));
    }
    // The host's own address of registered memory.
    let mapping = space.pinned_at(address)?;
    let Origin::HostRegistered { host } = mapping.origin else { return None };
    Some((Arc::clone(mapping), mapping.start + (address - host)))
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuPointerGetAttribute(out: Out<c_void>, number: c_int, address: u64) {
        let (mapping, address) = mapping_at(address).ok_or(Code::INVALID_VALUE)?;
        attribute(number, address, &mapping)?.put(out)
    }

    Context fn cuPointerGetAttributes(count: c_uint, numbers: In<c_int>, outs: In<Out<c_void>>, address: u64) {
        let found = mapping_at(address);
        for index in 0..usize::try_from(count).map_err(|_| Code::INVALID_VALUE)? {
            let number = numbers.get_at(index)?;
            let value = match &found {
                Some((mapping, address)) => attribute(number, *address, mapping).unwrap_or(unknown(number)),
                None => unknown(number),
            };
            value.put(outs.get_at(index)?)?;
        }
        Ok(())
    }
}
