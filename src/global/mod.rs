//! Floor 5, uses all below. What a whole program plugs in: Rust's global allocator, and what the C
//! libraries of the workspace need to stand alone.

mod process;

/// Defines what a `no_std` library crate needs: a panic handler that says where and aborts. Expands
/// to nothing when this crate was built with `std`, which brings its own.
#[cfg(not(feature = "std"))]
#[macro_export]
macro_rules! stand_alone {
    () => {
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::stomp::broken(info)
        }
    };
}

/// Defines what a `no_std` library crate needs: a panic handler that says where and aborts. Expands
/// to nothing when this crate was built with `std`, which brings its own.
#[cfg(feature = "std")]
#[macro_export]
macro_rules! stand_alone {
    () => {};
}
