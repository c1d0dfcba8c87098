//! The description of a program's settings.

/// What is put behind the name of a secret to name a file that holds it.
pub(crate) const FILE_SUFFIX: &str = "_FILE";

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name: prefix, section, two underscores, the rest.
    pub name: &'static str,
    /// The value when it is unset or empty. It must be one that the variable's parser allows.
    pub default: &'static str,
    /// What it may be, as it reads after "must be".
    pub allowed: &'static str,
    /// What it does, in a sentence.
    pub meaning: &'static str,
    /// Whether the value may hold a password. It is then in no mistake, is shown without its passwords, and can come from
    /// the file that `NAME_FILE` names.
    pub secret: bool,
}

/// A program and every variable that it reads.
#[derive(Debug)]
pub struct Program {
    /// Name of the program, as it is called.
    pub name: &'static str,
    /// What each of its variables starts with.
    pub prefix: &'static str,
    /// Its variables, in the order in which people meet them.
    pub variables: &'static [&'static Variable],
    /// How names begin that other programs read from the same environment. A name like this that the program does not
    /// read itself is passed over, even if it is in a section of the program. In a section that is shared, name each
    /// variable of the others: a whole section hides most misspellings of the program's own.
    pub other_programs: &'static [&'static str],
    /// Variables of specifications that the program follows.
    pub standards: &'static [Standard],
}

/// Variables of a specification, such as OpenTelemetry's. They are read with [`Reader::standard`](crate::Reader::standard); a
/// name or value that is not known is the specification's business and no mistake.
#[derive(Debug)]
pub struct Standard {
    /// Name of the specification.
    pub name: &'static str,
    /// What its variables start with.
    pub prefix: &'static str,
    /// What they do, in a sentence or two.
    pub meaning: &'static str,
    /// The most used ones, each with what it does.
    pub variables: &'static [(&'static str, &'static str)],
}

impl Variable {
    /// Name of the variable that names a file with the value.
    pub(crate) fn in_file(&self) -> String {
        format!("{}{FILE_SUFFIX}", self.name)
    }
}
