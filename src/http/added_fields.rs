//! Header fields that an application adds to a message: checked when they are added, so that a
//! field of an attacker's making cannot be expressed, and in the order in which they came.
//!
//! A name can be there more than once, as Set-Cookie may. Which names the message sets by itself
//! is known to the type of the message, and given with each field.

use super::debug::FieldLines;
use super::invalid_field::InvalidField;
use super::token::{is_field_value, is_token};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

/// See the head of this file.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct AddedFields(Vec<(Cow<'static, str>, Cow<'static, str>)>);

impl AddedFields {
    pub(crate) const fn new() -> AddedFields {
        AddedFields(Vec::new())
    }

    /// Adds a field, unless its name is reserved.
    ///
    /// # Errors
    ///
    /// [`InvalidField`]: nothing is added.
    pub(crate) fn add(
        &mut self,
        name: Cow<'static, str>,
        value: Cow<'static, str>,
        is_reserved: impl FnOnce(&str) -> bool,
    ) -> Result<(), InvalidField> {
        if !is_token(name.as_bytes()) {
            return Err(InvalidField::Name);
        }
        if !is_field_value(value.as_bytes()) {
            return Err(InvalidField::Value);
        }
        if is_reserved(&name) {
            return Err(InvalidField::Reserved);
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is a field of this name, without regard to case.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.iter()
            .any(|(added, _)| added.eq_ignore_ascii_case(name))
    }
}

/// As lines of a head, in which the values of credentials are hidden.
impl fmt::Debug for AddedFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        FieldLines(&self.0).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_field_is_a_line_of_its_own_and_not_reserved() {
        let mut fields = AddedFields::new();
        let mut add = |name: &'static str, value: &'static str| {
            fields.add(name.into(), value.into(), |name| name == "Date")
        };
        assert_eq!(add("A", "1"), Ok(()));
        assert_eq!(add("a", "2"), Ok(()));
        assert_eq!(add("a b", "3"), Err(InvalidField::Name));
        assert_eq!(add("B", "3\r\nC: 4"), Err(InvalidField::Value));
        assert_eq!(add("Date", "3"), Err(InvalidField::Reserved));
        assert!(fields.iter().eq([("A", "1"), ("a", "2")]));
        assert!(fields.contains("a") && !fields.contains("B"));
    }
}
