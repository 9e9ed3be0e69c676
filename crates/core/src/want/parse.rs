// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading what is wanted.

use super::{Axes, Axis, Items, MAX_AXIS_NAMES, Order, Place, Want, WantError, Wants};
use crate::device::{Device, DeviceKind};
use crate::dtype::{DType, DTypeCode, DTypeError};

const KINDS: &[(&str, Items)] = &[
    ("float", Items::Floats),
    ("int", Items::AllOf(DTypeCode::INT)),
    ("uint", Items::AllOf(DTypeCode::UINT)),
    ("complex", Items::AllOf(DTypeCode::COMPLEX)),
];

impl Wants {
    /// Reads the wanted form of each argument, given as its name and one line.
    ///
    /// # Errors
    /// The first part that can't be read.
    pub fn parse(arguments: &[(&str, &str)]) -> Result<Wants, WantError> {
        let mut wants = Wants {
            arguments: Vec::with_capacity(arguments.len()),
            axis_names: Vec::new(),
            any_is_mut: false,
        };
        for (name, text) in arguments {
            let want = wants.one(name, text)?;
            wants.any_is_mut |= want.is_mut;
            wants.arguments.push(want);
        }
        Ok(wants)
    }

    fn one(&mut self, name: &str, text: &str) -> Result<Want, WantError> {
        let mut want = Want {
            name: name.to_owned(),
            text: text.trim().to_owned(),
            is_mut: false,
            dtypes: Vec::new(),
            axes: None,
            places: Vec::new(),
            same_as: None,
            order: Order::Any,
            align_bytes: 1,
        };
        let unclosed = || WantError::Unclosed { argument: name.to_owned() };
        let (before, after) = match text.split_once('[') {
            None => (text, ""),
            Some((before, rest)) => {
                let (inside, after) = rest.split_once(']').ok_or_else(unclosed)?;
                want.axes = Some(self.axes(name, inside)?);
                (before, after)
            }
        };
        for word in before.split_whitespace().chain(after.split_whitespace()) {
            self.word(&mut want, word)?;
        }
        Ok(want)
    }

    fn axes(&mut self, argument: &str, inside: &str) -> Result<Axes, WantError> {
        let mut axes = Axes { gap_after: None, list: Vec::new() };
        for found in inside.split(',').map(str::trim) {
            let bad = || WantError::Axes { argument: argument.to_owned(), found: found.to_owned() };
            let axis = match found {
                "" if inside.trim().is_empty() => break,
                "..." if axes.gap_after.is_none() => {
                    axes.gap_after = Some(axes.list.len());
                    continue;
                }
                "_" => Axis::Any,
                _ if is_name(found) => Axis::Named(self.axis(argument, found)?),
                _ => Axis::Exactly(found.parse().map_err(|_| bad())?),
            };
            axes.list.push(axis);
        }
        Ok(axes)
    }

    /// The index of an axis' name, which may be new.
    fn axis(&mut self, argument: &str, name: &str) -> Result<usize, WantError> {
        if let Some(known) = self.axis_names.iter().position(|known| known == name) {
            return Ok(known);
        }
        if self.axis_names.len() == MAX_AXIS_NAMES {
            return Err(WantError::TooManyNames { argument: argument.to_owned() });
        }
        self.axis_names.push(name.to_owned());
        Ok(self.axis_names.len() - 1)
    }

    fn word(&self, want: &mut Want, word: &str) -> Result<(), WantError> {
        let argument = || want.name.clone();
        match word {
            "mut" => want.is_mut = true,
            "any" => {}
            "C" => want.order = Order::C,
            "F" => want.order = Order::F,
            "packed" => want.order = Order::Either,
            _ => match bracketed(word) {
                Some(("same", named)) => {
                    let found = self.arguments.iter().position(|other| other.name == named);
                    let missing = WantError::NoSuchArgument { argument: argument(), named: named.to_owned() };
                    want.same_as = Some(found.ok_or(missing)?);
                }
                Some(("aligned", bytes)) => {
                    let align = bytes.parse::<usize>().ok().filter(|bytes| bytes.is_power_of_two());
                    let bad = WantError::Alignment { argument: argument(), found: bytes.to_owned() };
                    want.align_bytes = align.ok_or(bad)?;
                }
                Some(_) => return Err(WantError::Word { argument: argument(), word: word.to_owned() }),
                None => {
                    for alternative in word.split('|') {
                        alternative_of(want, alternative)?;
                    }
                }
            },
        }
        Ok(())
    }
}

/// One of several devices, or of several dtypes.
fn alternative_of(want: &mut Want, word: &str) -> Result<(), WantError> {
    if let Some(place) = place(word) {
        want.places.push(place);
        return Ok(());
    }
    let items = KINDS.iter().find(|(name, _)| *name == word).map(|(_, items)| *items);
    let items = match items {
        Some(items) => items,
        None if is_name(word) => {
            let argument = want.name.clone();
            Items::Of(word.parse::<DType>().map_err(|source| match source {
                // It may have been meant as a device.
                DTypeError::UnknownName { nearest: None, .. } => {
                    WantError::Word { argument, word: word.to_owned() }
                }
                source => WantError::DType { argument, source },
            })?)
        }
        None => return Err(WantError::Word { argument: want.name.clone(), word: word.to_owned() }),
    };
    want.dtypes.push(items);
    Ok(())
}

fn place(word: &str) -> Option<Place> {
    if word == "host" {
        return Some(Place::Host);
    }
    if word == "cpu" {
        return Some(Place::Kind(DeviceKind::CPU));
    }
    match word.contains(':') {
        true => word.parse::<Device>().ok().map(Place::Device),
        false => DeviceKind::from_name(word).map(Place::Kind),
    }
}

/// `aligned(64)` as `aligned` and `64`.
fn bracketed(word: &str) -> Option<(&str, &str)> {
    word.strip_suffix(')')?.split_once('(')
}

fn is_name(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
