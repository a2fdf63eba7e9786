"""Tensors as a catalog entry, for other programs to read."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset

from tad_blockdrop.storage.atomic import atomic_write


class WeightsDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """A dictionary of tensors: safetensors if the file is called so, else a PyTorch file.

    A PyTorch file may hold dictionaries of tensors within. Both are written as a whole, and
    neither needs code to be run when it is loaded.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """``filepath`` ends in ``.safetensors``, or in ``.pth``, ``.pt`` or ``.bin``."""
        self._filepath = PurePosixPath(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Load to the CPU, without running anything."""
        import torch
        from safetensors.torch import load_file

        path = Path(self._filepath)
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))

    def save(self, data: dict[str, Any]) -> None:
        """Write the file."""
        import torch
        from safetensors.torch import save_file

        with atomic_write(Path(self._filepath)) as temporary:
            if temporary.suffix == ".safetensors":
                save_file(data, temporary, metadata={"format": "pt"})
            else:
                with temporary.open("wb") as file:  # by its name the archive would differ each time
                    torch.save(data, file)

    def _exists(self) -> bool:
        return Path(self._filepath).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
