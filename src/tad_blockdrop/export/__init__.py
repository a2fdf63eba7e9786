"""The detector as files for other programs: ONNX in fp32 and int8, torch.export, sidecar, card."""
