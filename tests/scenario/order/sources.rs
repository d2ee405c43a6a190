//! The workspace's own Rust sources, read as syntax.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The folders that hold sources of ours.
const ROOMS: [&str; 6] = ["spec", "actors", "net", "runtime", "tests", "examples"];

/// One file.
pub struct Source {
    path: PathBuf,
    pub text: String,
    /// All of it is compiled for tests alone.
    pub is_test: bool,
}

#[derive(Default)]
pub struct Findings {
    pub functions: Vec<Function>,
    /// Lines with an `unwrap()` that is not within a test.
    pub unwraps: Vec<usize>,
    /// Modules in files of their own that are compiled for tests alone.
    test_modules: Vec<String>,
    in_test: u32,
}

pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

impl Source {
    pub fn of(path: &str, text: &str) -> Source {
        Source { path: PathBuf::from(path), text: text.to_owned(), is_test: false }
    }

    pub fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    pub fn findings(&self) -> Findings {
        let file = syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let mut findings = Findings::default();
        findings.visit_file(&file);
        findings
    }

    /// The files and folders of its modules for tests.
    fn test_places(&self) -> Vec<PathBuf> {
        let stem = self.path.file_stem().unwrap_or_default();
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let own = if ["lib", "main", "mod"].iter().any(|root| stem == *root) {
            folder.to_owned()
        } else {
            folder.join(stem)
        };
        self.findings().test_modules.iter().map(|module| own.join(module)).collect()
    }
}

/// Every source of the workspace.
pub fn all() -> Vec<Source> {
    let mut sources = Vec::new();
    for room in ROOMS {
        collect(&root().join(room), &mut sources);
    }
    let places: BTreeSet<PathBuf> = sources.iter().flat_map(Source::test_places).collect();
    let tests = root().join("tests");
    for source in &mut sources {
        let within =
            |place: &PathBuf| source.path.with_extension("") == *place || source.path.starts_with(place);
        source.is_test =
            source.path.starts_with(&tests) || places.iter().any(within) || is_for_cargo_test(&source.path);
    }
    sources
}

/// `room/tests/*.rs` and `room/benches/*.rs`.
fn is_for_cargo_test(path: &Path) -> bool {
    let inner = path.strip_prefix(root()).unwrap_or(path);
    inner.components().nth(1).is_some_and(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches")
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push(Source { text: fs::read_to_string(&path).unwrap(), path, is_test: false });
        }
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let cfg_test =
            path.is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test");
        cfg_test || path.segments.last().is_some_and(|last| last.ident == "test")
    })
}

impl Findings {
    fn within(&mut self, attributes: &[syn::Attribute], see: impl FnOnce(&mut Findings)) {
        let test = u32::from(is_for_tests(attributes));
        self.in_test += test;
        see(self);
        self.in_test -= test;
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let lines = block.span().end().line + 1 - line;
        self.functions.push(Function { name: signature.ident.to_string(), line, lines });
    }
}

impl<'a> Visit<'a> for Findings {
    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        if module.content.is_none() && is_for_tests(&module.attrs) {
            self.test_modules.push(module.ident.to_string());
        }
        self.within(&module.attrs, |findings| visit::visit_item_mod(findings, module));
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.function(&item.sig, &item.block);
        self.within(&item.attrs, |findings| visit::visit_item_fn(findings, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        self.within(&item.attrs, |findings| visit::visit_impl_item_fn(findings, item));
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        self.within(&item.attrs, |findings| visit::visit_item_impl(findings, item));
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        if self.in_test == 0 && call.method == "unwrap" && call.args.is_empty() {
            self.unwraps.push(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }
}
