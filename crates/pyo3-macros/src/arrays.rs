// SPDX-License-Identifier: MIT OR Apache-2.0
//! `#[arrays(img = "f32[h, w]")]`: checks arguments before the function's body.
//!
//! The lines are read here too, so that one that can't be read is an error of compilation, at its place.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{
    Error, Expr, ExprLit, FnArg, Ident, ItemFn, Lit, LitStr, MetaNameValue, Pat, Token, Type, parse_quote,
};
use uncopy_core::Wants;

pub fn expand(wanted: TokenStream, function: TokenStream) -> Result<TokenStream, Error> {
    let lines = Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse2(wanted)?;
    let lines: Vec<(Ident, LitStr)> = lines.into_iter().map(line).collect::<Result<_, _>>()?;
    let mut function: ItemFn = syn::parse2(function)?;
    let arguments = arguments_of(&function);
    let checked = check_lines(&lines).and_then(|wants| check_arguments(&lines, &wants, &arguments));
    if let Err(error) = checked {
        // With the function beside it, so that nothing is said of its absence.
        let error = error.into_compile_error();
        return Ok(quote!(#error #function));
    }
    let is_listed = |name: &Ident| lines.iter().any(|(listed, _)| listed == name);
    let unlisted = arguments.iter().filter(|argument| argument.is_view() && !is_listed(argument.name));
    let unlisted: Vec<&Ident> = unlisted.map(|argument| argument.name).collect();
    let unlisted_texts: Vec<String> = unlisted.iter().map(|name| name.to_string()).collect();
    let (names, texts): (Vec<_>, Vec<_>) = lines.iter().map(|(name, text)| (name, text)).unzip();
    let name_texts = names.iter().map(|name| name.to_string());
    let function_name = function.sig.ident.to_string();
    let check = parse_quote! {{
        static WANTED: ::uncopy_pyo3::arg::Wanted = ::uncopy_pyo3::arg::Wanted::new(
            #function_name,
            &[#((#name_texts, #texts)),*],
        );
        WANTED.check([#(&#names),*], &[#((#unlisted_texts, &#unlisted)),*])?;
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
fn check_lines(lines: &[(Ident, LitStr)]) -> Result<Wants, Error> {
    let texts: Vec<(String, String)> =
        lines.iter().map(|(name, text)| (name.to_string(), text.value())).collect();
    let pairs: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    for end in 1..pairs.len() {
        parsed(&pairs, end, lines)?;
    }
    parsed(&pairs, pairs.len(), lines)
}

fn parsed(pairs: &[(&str, &str)], end: usize, lines: &[(Ident, LitStr)]) -> Result<Wants, Error> {
    Wants::parse(pairs.get(..end).unwrap_or_default()).map_err(|error| {
        let last = lines.get(..end).and_then(<[_]>::last);
        Error::new(last.map_or_else(Span::call_site, |(_, text)| text.span()), error)
    })
}

/// An argument of the function.
struct Argument<'f> {
    name: &'f Ident,
    /// The last word of its type.
    ty: Option<&'f Ident>,
}

impl Argument<'_> {
    fn is(&self, ty: &str) -> bool {
        self.ty.is_some_and(|found| found == ty)
    }

    /// Rust has a view of its memory.
    fn is_view(&self) -> bool {
        self.is("ArrayRef") || self.is("ArrayMut")
    }
}

fn arguments_of(function: &ItemFn) -> Vec<Argument<'_>> {
    let typed = function.sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    typed
        .filter_map(|typed| {
            let Pat::Ident(pattern) = &*typed.pat else { return None };
            let ty = match &*typed.ty {
                Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
                _ => None,
            };
            Some(Argument { name: &pattern.ident, ty })
        })
        .collect()
}

fn check_arguments(
    lines: &[(Ident, LitStr)],
    wants: &Wants,
    arguments: &[Argument<'_>],
) -> Result<(), Error> {
    for ((name, text), want) in lines.iter().zip(wants.arguments()) {
        let Some(argument) = arguments.iter().find(|argument| argument.name == name) else {
            return Err(Error::new(name.span(), format!("the function has no argument {name}")));
        };
        if want.is_mut() && argument.is("ArrayRef") {
            let what = format!("{name} is an ArrayRef, which is read: take an ArrayMut, or leave out mut");
            return Err(Error::new(text.span(), what));
        }
    }
    Ok(())
}
