//! For tests: what the thread that writes does before each transaction, in the place of a slow disk.

use std::sync::{Arc, Mutex, PoisonError};

/// A function that may wait. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct BeforeCommit(Arc<Mutex<Option<Hook>>>);

type Hook = Box<dyn FnMut() + Send>;

impl BeforeCommit {
    pub(crate) fn set(&self, hook: impl FnMut() + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    pub(crate) fn call(&self) {
        let mut hook = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hook) = &mut *hook {
            hook();
        }
    }
}
