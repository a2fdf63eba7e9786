"""Tensors as a catalog entry, for other programs to read."""

from typing import Any

from tad_blockdrop.checksums import verify
from tad_blockdrop.datasets.folder import PathDataset
from tad_blockdrop.storage.atomic import sealed_write


class WeightsDataset(PathDataset[dict[str, Any], dict[str, Any]]):
    """A dictionary of tensors: safetensors if the file is called so, else a PyTorch file.

    A PyTorch file may hold dictionaries of tensors within. Both are written as a whole, and
    neither needs code to be run when it is loaded.
    """

    def load(self) -> dict[str, Any]:
        """Load to the CPU, without running anything."""
        import torch
        from safetensors.torch import load_file

        verify(self._path)
        if self._path.suffix == ".safetensors":
            return dict(load_file(self._path))
        return dict(torch.load(self._path, map_location="cpu", weights_only=True))

    def save(self, data: dict[str, Any]) -> None:
        """Write the file."""
        import torch
        from safetensors.torch import save_file

        with sealed_write(self._path) as temporary:
            if temporary.suffix == ".safetensors":
                save_file(data, temporary, metadata={"format": "pt"})
            else:
                with temporary.open("wb") as file:  # by its name the archive would differ each time
                    torch.save(data, file)

    def _exists(self) -> bool:
        return self._path.is_file()
