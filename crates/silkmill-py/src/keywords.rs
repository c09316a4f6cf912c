//! The options of a call, as Python gives them: by name, checked, and refused with what to do.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyString};

/// The longest time that an option may be: a day, in seconds.
const SECONDS_MAX: f64 = 86_400.0;

/// The options that a caller has given, each of which is taken once. One that is None counts as not
/// given.
pub(crate) struct Keywords<'py> {
    call: &'static str,
    given: Bound<'py, PyDict>,
    known: Vec<&'static str>,
}

impl<'py> Keywords<'py> {
    pub(crate) fn new(call: &'static str, given: &Bound<'py, PyDict>) -> PyResult<Self> {
        Ok(Self { call, given: given.copy()?, known: Vec::new() })
    }

    /// Takes an option as it is.
    pub(crate) fn any(&mut self, name: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.known.push(name);
        let Some(value) = self.given.get_item(name)? else { return Ok(None) };
        self.given.del_item(name)?;
        Ok(Some(value).filter(|value| !value.is_none()))
    }

    /// Takes a switch.
    pub(crate) fn flag(&mut self, name: &'static str) -> PyResult<bool> {
        let Some(value) = self.any(name)? else { return Ok(false) };
        match value.cast::<PyBool>() {
            Ok(value) => Ok(value.is_true()),
            Err(_) => Err(self.wrong_type(name, "True or False", &value)),
        }
    }

    /// Takes a whole number from `min` to `max`.
    pub(crate) fn count(
        &mut self,
        name: &'static str,
        min: u64,
        max: u64,
    ) -> PyResult<Option<u64>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        let number: i128 = match value.extract() {
            Ok(number) if !value.is_instance_of::<PyBool>() => number,
            _ => return Err(self.wrong_type(name, "a whole number", &value)),
        };
        match u64::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ if max == u64::MAX => {
                Err(self.wrong(name, &format!("at least {min}, and not {number}")))
            }
            _ => Err(self.wrong(name, &format!("from {min} to {max}, and not {number}"))),
        }
    }

    /// Takes a number from `min` to `max`.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        min: f64,
        max: f64,
    ) -> PyResult<Option<f64>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        let number: f64 = match value.extract() {
            Ok(number) if !value.is_instance_of::<PyBool>() => number,
            _ => return Err(self.wrong_type(name, "a number", &value)),
        };
        match (min..=max).contains(&number) {
            true => Ok(Some(number)),
            false => Err(self.wrong(name, &format!("from {min} to {max}, and not {number}"))),
        }
    }

    /// Takes a time in seconds, which is more than zero.
    pub(crate) fn seconds(&mut self, name: &'static str) -> PyResult<Option<Duration>> {
        let Some(time) = self.delay(name)? else { return Ok(None) };
        if time.is_zero() {
            return Err(self.wrong(name, "more than 0 seconds"));
        }
        Ok(Some(time))
    }

    /// Takes a time in seconds, which may be zero.
    pub(crate) fn delay(&mut self, name: &'static str) -> PyResult<Option<Duration>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        let seconds: f64 = match value.extract() {
            Ok(seconds) if !value.is_instance_of::<PyBool>() => seconds,
            _ => return Err(self.wrong_type(name, "a number of seconds", &value)),
        };
        if !(0.0..=SECONDS_MAX).contains(&seconds) {
            let why = format!("from 0 to {SECONDS_MAX} seconds, and not {seconds}");
            return Err(self.wrong(name, &why));
        }
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    /// Takes a number of bytes: a number, or a text such as "10M", where K, M and G are powers of
    /// 1024.
    pub(crate) fn size(&mut self, name: &'static str) -> PyResult<Option<u64>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        let Ok(text) = value.cast::<PyString>() else {
            return match value.extract() {
                Ok(bytes) if !value.is_instance_of::<PyBool>() => Ok(Some(bytes)),
                _ => Err(self.wrong_type(name, "a number of bytes, or a text as \"10M\"", &value)),
            };
        };
        let text = text.to_str()?;
        let (number, shift) = match text.char_indices().next_back() {
            Some((end, 'k' | 'K')) => (&text[..end], 10),
            Some((end, 'm' | 'M')) => (&text[..end], 20),
            Some((end, 'g' | 'G')) => (&text[..end], 30),
            _ => (text, 0),
        };
        let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(1 << shift));
        let why = || self.wrong(name, &format!("a number of bytes as \"10M\", and not {text:?}"));
        bytes.ok_or_else(why).map(Some)
    }

    /// Takes a text.
    pub(crate) fn text(&mut self, name: &'static str) -> PyResult<Option<String>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        match value.cast::<PyString>() {
            Ok(text) => Ok(Some(text.to_str()?.to_owned())),
            Err(_) => Err(self.wrong_type(name, "a str", &value)),
        }
    }

    /// Takes one of several words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> PyResult<Option<T>> {
        let Some(given) = self.text(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == given);
        let names = || words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>();
        let why = || self.wrong(name, &format!("one of {}, and not {given:?}", names().join(", ")));
        Ok(Some(found.ok_or_else(why)?.1))
    }

    /// Takes a text or bytes.
    pub(crate) fn bytes(&mut self, name: &'static str) -> PyResult<Option<Vec<u8>>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        match bytes_of(&value)? {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(self.wrong_type(name, "a str or bytes", &value)),
        }
    }

    /// Takes one text, or many.
    pub(crate) fn texts(&mut self, name: &'static str) -> PyResult<Vec<String>> {
        let Some(value) = self.any(name)? else { return Ok(Vec::new()) };
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(vec![text.to_str()?.to_owned()]);
        }
        let texts = value.try_iter().and_then(|all| all.map(|one| one?.extract()).collect());
        texts.map_err(|_| self.wrong_type(name, "a str, or several", &value))
    }

    /// Takes a path.
    pub(crate) fn path(&mut self, name: &'static str) -> PyResult<Option<PathBuf>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        path_of(&value)
            .map(Some)
            .map_err(|_| self.wrong_type(name, "a path: str, bytes or os.PathLike", &value))
    }

    /// Takes one path, or many.
    pub(crate) fn paths(&mut self, name: &'static str) -> PyResult<Option<Vec<PathBuf>>> {
        let Some(value) = self.any(name)? else { return Ok(None) };
        if let Ok(path) = path_of(&value) {
            return Ok(Some(vec![path]));
        }
        let paths = value.try_iter().and_then(|all| all.map(|one| path_of(&one?)).collect());
        paths.map(Some).map_err(|_| self.wrong_type(name, "a path, or several", &value))
    }

    /// Refuses what has not been taken, and offers names that are near.
    pub(crate) fn finish(self) -> PyResult<()> {
        let Some(name) = self.given.keys().iter().next() else { return Ok(()) };
        let near = name
            .py()
            .import(intern!(name.py(), "difflib"))?
            .call_method1(intern!(name.py(), "get_close_matches"), (&name, &self.known, 1))?;
        let near: Vec<String> = near.extract()?;
        let hint = match near.first() {
            Some(near) => format!(": did you mean {near:?}?"),
            None => format!("; there are {}", self.known.join(", ")),
        };
        Err(PyTypeError::new_err(format!("{}() has no option {}{hint}", self.call, name.repr()?)))
    }

    fn wrong_type(&self, name: &str, wanted: &str, value: &Bound<'_, PyAny>) -> PyErr {
        let call = self.call;
        let found = value.get_type().name().map_or_else(|_| "this".into(), |it| it.to_string());
        PyTypeError::new_err(format!("{call}() option {name:?} is {wanted}, and not {found}"))
    }

    /// Returns the error of an option whose value cannot be.
    pub(crate) fn wrong(&self, name: &str, wanted: &str) -> PyErr {
        PyValueError::new_err(format!("{}() option {name:?} is {wanted}", self.call))
    }
}

/// Returns the bytes of a text or of bytes, and `None` for anything else. A text may hold bytes
/// that are no UTF-8 in Python's way, as surrogates.
pub(crate) fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(bytes.as_bytes().to_vec()));
    }
    let Ok(text) = value.cast::<PyString>() else { return Ok(None) };
    if let Ok(text) = text.to_str() {
        return Ok(Some(text.as_bytes().to_vec()));
    }
    let bytes = text.call_method1("encode", ("utf-8", "surrogateescape"))?;
    Ok(Some(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
}

/// Returns bytes as a text, those that are no UTF-8 as surrogates.
pub(crate) fn text_of<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text).into_any()),
        Err(_) => PyBytes::new(py, bytes).call_method1("decode", ("utf-8", "surrogateescape")),
    }
}

fn path_of(value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let os = value.py().import(intern!(value.py(), "os"))?;
    let text = os.call_method1(intern!(value.py(), "fsdecode"), (value,))?;
    Ok(PathBuf::from(text.extract::<OsString>()?))
}
