// SPDX-License-Identifier: MIT OR Apache-2.0
//! `#[arrays(img = "f32[h, w]")]`: checks arguments before the function's body.
//!
//! The lines are read here too, so that one that can't be read is an error of compilation, at its place.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, FnArg, Ident, ItemFn, Lit, LitStr, MetaNameValue, Pat, Token, parse_quote};
use uncopy_core::Wants;

pub fn expand(wanted: TokenStream, function: TokenStream) -> Result<TokenStream, Error> {
    let lines = Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse2(wanted)?;
    let lines: Vec<(Ident, LitStr)> = lines.into_iter().map(line).collect::<Result<_, _>>()?;
    let mut function: ItemFn = syn::parse2(function)?;
    check_lines(&lines)?;
    check_names(&lines, &function)?;
    let (names, texts): (Vec<_>, Vec<_>) = lines.iter().map(|(name, text)| (name, text)).unzip();
    let name_texts = names.iter().map(|name| name.to_string());
    let function_name = function.sig.ident.to_string();
    let check = parse_quote! {{
        static WANTED: ::uncopy_pyo3::arg::Wanted = ::uncopy_pyo3::arg::Wanted::new(
            #function_name,
            &[#((#name_texts, #texts)),*],
        );
        WANTED.check([#(&#names),*])?;
    }};
    function.block.stmts.insert(0, check);
    Ok(quote!(#function))
}

fn line(pair: MetaNameValue) -> Result<(Ident, LitStr), Error> {
    let name = pair.path.require_ident()?.clone();
    match pair.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok((name, text)),
        other => Err(Error::new_spanned(other, "what is wanted stands in quotes, as in img = \"f32[h, w]\"")),
    }
}

/// All lines together, since they share the names of axes. The first that can't be read is named at its place.
fn check_lines(lines: &[(Ident, LitStr)]) -> Result<(), Error> {
    let texts: Vec<(String, String)> =
        lines.iter().map(|(name, text)| (name.to_string(), text.value())).collect();
    let pairs: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    for end in 1..=pairs.len() {
        if let Err(error) = Wants::parse(pairs.get(..end).unwrap_or_default()) {
            let place = lines.get(end - 1).map_or_else(Span::call_site, |(_, text)| text.span());
            return Err(Error::new(place, error));
        }
    }
    Ok(())
}

fn check_names(lines: &[(Ident, LitStr)], function: &ItemFn) -> Result<(), Error> {
    let arguments: Vec<&Ident> = function
        .sig
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(pattern) => Some(&pattern.ident),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        })
        .collect();
    match lines.iter().find(|(name, _)| !arguments.contains(&name)) {
        Some((name, _)) => Err(Error::new(name.span(), format!("the function has no argument {name}"))),
        None => Ok(()),
    }
}
