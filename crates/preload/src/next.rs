//! The functions that ours stand in front of: the next definition of a symbol in the loader's
//! order.

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Two lists of loaded objects: all, from the program on; or those behind this library.
#[derive(Clone, Copy, Debug)]
pub enum Search {
    /// As the program itself would find it.
    All,
    /// Behind this library.
    Next,
}

/// The address of a function; null if nobody defines it.
pub fn find(search: Search, name: &CStr) -> *mut c_void {
    let handle = match search {
        Search::All => libc::RTLD_DEFAULT,
        Search::Next => libc::RTLD_NEXT,
    };
    // SAFETY: the name is NUL-terminated; both handles are always valid.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

/// The next definition of a function, looked up once: best before it is needed, because in a signal
/// handler the loader's lock may be held.
#[derive(Debug)]
pub struct Next {
    name: &'static CStr,
    addr: AtomicUsize,
}

impl Next {
    /// Looks nothing up yet.
    pub const fn new(name: &'static CStr) -> Self {
        Next { name, addr: AtomicUsize::new(0) }
    }

    /// Its name.
    pub const fn name(&self) -> &'static CStr {
        self.name
    }

    /// Its address; 0 if nobody defines it.
    pub fn addr(&self) -> usize {
        match self.addr.load(Ordering::Relaxed) {
            0 => {
                let addr = find(Search::Next, self.name).addr();
                self.addr.store(addr, Ordering::Relaxed);
                addr
            }
            addr => addr,
        }
    }
}

/// Calls the next definition of a function with a given type; the third part is the answer when
/// there is none.
#[macro_export]
macro_rules! call_next {
    ($name:ident as fn($($type:ty),*) -> $result:ty, ($($argument:expr),*), $missing:expr) => {{
        const NAME: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(
            concat!(stringify!($name), "\0").as_bytes(),
        ) {
            Ok(name) => name,
            Err(_) => panic!("a name without NUL"),
        };
        static NEXT: $crate::Next = $crate::Next::new(NAME);
        let function = NEXT.addr();
        if function == 0 {
            $missing
        } else {
            type Function = unsafe extern "C" fn($($type),*) -> $result;
            // SAFETY: the C library defines the function with this type.
            let function: Function = unsafe { core::mem::transmute::<usize, Function>(function) };
            // SAFETY: the arguments are those of our caller, who meant this function.
            unsafe { function($($argument),*) }
        }
    }};
}
