//! Answers through C's pointers.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::{
    nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as INSUFFICIENT_SIZE,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT, nvmlReturn_enum_NVML_SUCCESS as SUCCESS,
    nvmlReturn_t,
};

/// Writes the answer, if there is one, and gives the return code.
pub(crate) fn give<T>(out: *mut T, answer: Result<T, nvmlReturn_t>) -> nvmlReturn_t {
    match answer {
        Err(code) => code,
        Ok(_) if out.is_null() => INVALID_ARGUMENT,
        Ok(value) => {
            // SAFETY: NVML's callers pass a pointer to a place for one value, and no null was passed.
            unsafe { out.write(value) };
            SUCCESS
        }
    }
}

/// Writes a text with its closing zero.
pub(crate) fn give_text(out: *mut c_char, room: c_uint, answer: Result<String, nvmlReturn_t>) -> nvmlReturn_t {
    let text = match answer {
        Err(code) => return code,
        Ok(text) => text,
    };
    if text.len() >= room as usize {
        return INSUFFICIENT_SIZE;
    }
    for (position, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: the caller passes a buffer of `room` bytes, and the text with its zero is no longer.
        unsafe { out.add(position).write(byte.cast_signed()) };
    }
    SUCCESS
}

/// Writes a list into an array for `count` elements; where that is too short, says how long it must be.
pub(crate) fn give_list<T>(out: *mut T, count: *mut c_uint, answer: Result<Vec<T>, nvmlReturn_t>) -> nvmlReturn_t {
    let list = match answer {
        Err(code) => return code,
        Ok(_) if count.is_null() => return INVALID_ARGUMENT,
        Ok(list) => list,
    };
    // SAFETY: the caller passes a pointer to the number of elements for which there is room.
    let room = unsafe { count.read() } as usize;
    let length = c_uint::try_from(list.len()).unwrap_or(c_uint::MAX);
    // SAFETY: as above; the number of elements goes back by the same pointer.
    unsafe { count.write(length) };
    if list.len() > room || (out.is_null() && !list.is_empty()) {
        return INSUFFICIENT_SIZE;
    }
    for (position, element) in list.into_iter().enumerate() {
        // SAFETY: there is room for `room` elements, and the list is no longer.
        unsafe { out.add(position).write(element) };
    }
    SUCCESS
}
