//! The body of a response that is sent: bytes of the program, of its own, or shared.

use super::debug::TextOrBytes;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

/// The body of a [`Response`](super::Response). Made by `From`: of text, bytes, and of bytes
/// that several responses share.
///
/// ```
/// use std::sync::Arc;
/// use yamabiko::http::Body;
///
/// let compiled_in = Body::from("static text");
/// let made_for_this_response = Body::from(format!("{} members", 3));
/// let shared = Body::from(Arc::<[u8]>::from(&b"a file"[..]));
/// assert_eq!(&*shared, b"a file");
/// # drop((compiled_in, made_for_this_response));
/// ```
#[derive(Clone)]
pub struct Body(Bytes);

#[derive(Clone)]
enum Bytes {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Body {
    /// No byte.
    pub const fn empty() -> Body {
        Body(Bytes::Static(&[]))
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Static(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body(Bytes::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Body {
        Body(Bytes::Static(bytes))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body(Bytes::Static(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body(Bytes::Owned(bytes))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body(Bytes::Owned(text.into_bytes()))
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Body {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Cow<'static, [u8]>> for Body {
    fn from(bytes: Cow<'static, [u8]>) -> Body {
        match bytes {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Body {
        Body(Bytes::Shared(bytes))
    }
}

/// Compares the bytes.
impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        **self == **other
    }
}

impl Eq for Body {}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        TextOrBytes(self).fmt(formatter)
    }
}
