use domain::gpu::{CardState, Throttle};

use super::*;

const DCGM: &str = r#"# HELP DCGM_FI_DEV_SM_CLOCK SM clock frequency (in MHz).
# TYPE DCGM_FI_DEV_SM_CLOCK gauge
DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:01:00.0",device="nvidia0",modelName="NVIDIA A100-SXM4-40GB",Hostname="rack-1",DCGM_FI_DRIVER_VERSION="535.129.03"} 1410
DCGM_FI_DEV_SM_CLOCK{gpu="1",UUID="GPU-bbbb",device="nvidia1",modelName="NVIDIA A100-SXM4-40GB",Hostname="rack-1"} 210
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-aaaa",device="nvidia0",modelName="NVIDIA A100-SXM4-40GB",Hostname="rack-1"} 61
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-aaaa"} 409.692000
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="GPU-aaaa"} 319159391
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-aaaa"} 98
DCGM_FI_DEV_MEM_COPY_UTIL{gpu="0",UUID="GPU-aaaa"} 40
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-aaaa",pod="one"} 35690
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-aaaa",pod="two"} 35690
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-aaaa"} 4845
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-bbbb",GPU_I_PROFILE="1g.5gb",GPU_I_ID="3"} 1000
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-bbbb",GPU_I_PROFILE="1g.5gb",GPU_I_ID="4"} 500
DCGM_FI_DEV_FB_FREE{gpu="1",UUID="GPU-bbbb",GPU_I_PROFILE="1g.5gb",GPU_I_ID="3"} 4000
DCGM_FI_DEV_FB_FREE{gpu="1",UUID="GPU-bbbb",GPU_I_PROFILE="1g.5gb",GPU_I_ID="4"} 4500
DCGM_FI_DEV_CLOCKS_EVENT_REASONS{gpu="0",UUID="GPU-aaaa"} 72
DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{gpu="0",UUID="GPU-aaaa"} 2
DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-aaaa"} 13
DCGM_FI_DEV_XID_ERRORS{gpu="2",UUID="GPU-cccc"} 79
DCGM_FI_DEV_FAN_SPEED{gpu="0",UUID="GPU-aaaa"} 2147483632
"#;

#[test]
fn dcgm_exporter() {
    let told = gpus(DCGM.as_bytes()).expect("cards");
    assert_eq!((told.host_name.as_deref(), told.gpus.driver.as_deref()), (Some("rack-1"), Some("535.129.03")));
    assert_eq!(told.gpus.state, GpuState::Reading);
    let [a, b, c] = &told.gpus.cards[..] else { panic!("three cards: {:#?}", told.gpus.cards) };
    assert_eq!((a.index, a.uuid.as_deref(), a.name.as_deref()), (0, Some("GPU-aaaa"), Some("NVIDIA A100-SXM4-40GB")));
    let sample = a.sample.as_ref().expect("a sample");
    let want = Sample {
        utilization_percent: Some(98),
        memory_utilization_percent: Some(40),
        temperature_c: Some(61),
        power_mw: Some(409_692),
        energy_mj: Some(319_159_391),
        vram: Some(Vram { total_bytes: 40_535 * MIB, used_bytes: 4_845 * MIB, free_bytes: 35_690 * MIB }),
        clocks: domain::gpu::Clocks { sm_mhz: Some(1_410), ..domain::gpu::Clocks::default() },
        throttle: Some(vec![Throttle::HardwareSlowdown, Throttle::HardwareThermal]),
        ecc: domain::gpu::Ecc { uncorrected: Some(2), ..domain::gpu::Ecc::default() },
        ..Sample::default()
    };
    assert_eq!(*sample, want, "what is not told, or told as blank, is absent");
    let divided = b.sample.as_ref().expect("a sample");
    assert_eq!(divided.mig_enabled, Some(true));
    let all = Vram { total_bytes: 10_000 * MIB, used_bytes: 1_500 * MIB, free_bytes: 8_500 * MIB };
    assert_eq!((divided.vram, divided.utilization_percent), (Some(all), None));
    assert_eq!((c.index, &c.state, &c.sample), (2, &CardState::Lost, &None));
}

#[test]
fn nvidia_gpu_exporter() {
    let text = r#"nvidia_smi_clocks_current_sm_clock_hz{uuid="df6e7a7c"} 1.89e+09
nvidia_smi_clocks_throttle_reasons_active{uuid="df6e7a7c"} 32
nvidia_smi_fan_speed_ratio{uuid="df6e7a7c"} 0.38
nvidia_smi_gpu_info{driver_model_current="WDDM",driver_version="471.11",name="NVIDIA GeForce RTX 2080 SUPER",uuid="df6e7a7c",vbios_version="90.04"} 1
nvidia_smi_index{uuid="df6e7a7c"} 1
nvidia_smi_memory_total_bytes{uuid="df6e7a7c"} 8.589934592e+09
nvidia_smi_memory_used_bytes{uuid="df6e7a7c"} 7.06740224e+08
nvidia_smi_power_draw_watts{uuid="df6e7a7c"} 28.07
nvidia_smi_enforced_power_limit_watts{uuid="df6e7a7c"} 250
nvidia_smi_temperature_gpu{uuid="df6e7a7c"} 34
nvidia_smi_utilization_gpu_ratio{uuid="df6e7a7c"} 0.07
nvidia_smi_temperature_gpu{uuid="GPU-second"} 50
"#;
    let told = gpus(text.as_bytes()).expect("cards");
    assert_eq!((told.host_name, told.gpus.driver.as_deref()), (None, Some("471.11")));
    let [a, b] = &told.gpus.cards[..] else { panic!("two cards: {:#?}", told.gpus.cards) };
    assert_eq!((a.index, a.uuid.as_deref()), (1, Some("GPU-df6e7a7c")));
    assert_eq!(a.name.as_deref(), Some("NVIDIA GeForce RTX 2080 SUPER"));
    let want = Sample {
        utilization_percent: Some(7),
        temperature_c: Some(34),
        fan_percent: Some(38),
        power_mw: Some(28_070),
        power_limit_mw: Some(250_000),
        vram: Some(Vram { total_bytes: 8_589_934_592, used_bytes: 706_740_224, free_bytes: 7_883_194_368 }),
        clocks: domain::gpu::Clocks { sm_mhz: Some(1_890), ..domain::gpu::Clocks::default() },
        throttle: Some(vec![Throttle::SoftwareThermal]),
        ..Sample::default()
    };
    assert_eq!(a.sample.as_ref(), Some(&want));
    assert_eq!(b.uuid.as_deref(), Some("GPU-second"));
}

#[test]
fn what_tells_of_no_card_is_nothing() {
    for text in ["", "go_info 1", "DCGM_FI_DEV_GPU_TEMP 3", "nvidia_smi_count{uuid=\"\"} 1", "<html>"] {
        assert_eq!(gpus(text.as_bytes()), None, "{text}");
    }
    let many: String = (0..1_000).map(|gpu| format!("DCGM_FI_DEV_GPU_TEMP{{gpu=\"{gpu}\"}} 50\n")).collect();
    assert_eq!(gpus(many.as_bytes()).map(|told| told.gpus.cards.len()), Some(CARDS_MAX));
    let rude = format!("DCGM_FI_DEV_GPU_TEMP{{gpu=\"0\",modelName=\"\u{1b}[31m{}\"}} 50\n", "x".repeat(10_000));
    let card = gpus(rude.as_bytes()).expect("a card").gpus.cards.remove(0);
    let name = card.name.expect("a name");
    assert!(name.chars().count() == 100 && !name.contains('\u{1b}'), "{name}");
}
