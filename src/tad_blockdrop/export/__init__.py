"""The detector as files for other programs: ONNX, a torch.export archive and a sidecar."""
