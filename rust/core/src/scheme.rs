//! The context strings under which fingerprints are made.

use std::str::FromStr;
use std::sync::OnceLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::Error;

/// Kind and version of a fingerprint. Digests of two schemes are never compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Keys and types of a config, not its values.
    ConfigStructure,
    /// Any value, item by item.
    Value,
    /// An array, by the digests of its leaves.
    Tensor,
    /// An array, by all of its bytes.
    TensorBlake3,
    /// The rows of an array, whatever their order.
    Rows,
    /// The sums of an array's numbers from which distances are estimated.
    Sketch,
    /// A function's own logic.
    CodeLogic,
    /// A function with everything of the project's own that it reaches.
    CodeDeep,
    /// A code object without its source.
    Bytecode,
}

impl Scheme {
    /// Every scheme there is.
    pub const ALL: [Self; 9] = [
        Self::ConfigStructure,
        Self::Value,
        Self::Tensor,
        Self::TensorBlake3,
        Self::Rows,
        Self::Sketch,
        Self::CodeLogic,
        Self::CodeDeep,
        Self::Bytecode,
    ];

    /// The name that is stored with a fingerprint, and the context of its key derivation.
    #[must_use]
    pub const fn context(self) -> &'static str {
        match self {
            Self::ConfigStructure => "ato config-structure v1",
            Self::Value => "ato value v1",
            Self::Tensor => "ato tensor v1",
            Self::TensorBlake3 => "ato tensor-blake3 v1",
            Self::Rows => "ato rows v1",
            Self::Sketch => "ato sketch v1",
            Self::CodeLogic => "ato code-logic v1",
            Self::CodeDeep => "ato code-deep v1",
            Self::Bytecode => "ato bytecode v1",
        }
    }

    /// A hasher in BLAKE3's key-derivation mode under this scheme's context.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        // The key costs as much as a small fingerprint does; it is derived once in a process.
        static KEYS: [OnceLock<ContextKey>; Scheme::ALL.len()] =
            [const { OnceLock::new() }; Scheme::ALL.len()];
        let key = KEYS[self as usize].get_or_init(|| hash_derive_key_context(self.context()));
        Hasher::new_from_context_key(key)
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.context() == name)
            .ok_or_else(|| Error::UnknownScheme(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_found_by_its_name_and_keys_like_derive_key() {
        for (index, scheme) in Scheme::ALL.into_iter().enumerate() {
            assert_eq!(scheme as usize, index);
            assert_eq!(scheme.context().parse::<Scheme>().unwrap(), scheme);
            let digest = scheme.hasher().update(b"material").finalize();
            assert_eq!(
                *digest.as_bytes(),
                blake3::derive_key(scheme.context(), b"material")
            );
        }
    }

    #[test]
    fn an_unknown_scheme_is_an_error_that_names_it() {
        let error = "ato value v0".parse::<Scheme>().unwrap_err();
        assert!(error.to_string().contains("ato value v0"));
    }
}
