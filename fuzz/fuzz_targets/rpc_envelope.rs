#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tine_fuzz::outside::rpc_envelope(bytes));
