"""A model's weights for other programs as a catalog entry: one folder per version."""

import json
from pathlib import Path

from tad_blockdrop.checksums import verify
from tad_blockdrop.datasets.folder import VersionedFolder
from tad_blockdrop.detector.weights.public import PublicWeights
from tad_blockdrop.storage.atomic import sealed_write

OPENTAD = "opentad.pth"
MODEL = "transformers/model.safetensors"
CONFIG = "transformers/config.json"


class WeightsDataset(VersionedFolder[PublicWeights]):
    """``<filepath>/<version>/<name>/``: the folder ``transformers``, and ``opentad.pth``.

    The first is for ``VideoMAEModel.from_pretrained``; the second may be missing. Neither needs
    code to be run when it is loaded.
    """

    MARKER = CONFIG

    def load(self) -> PublicWeights:
        """Load to the CPU, without running anything."""
        import torch
        from safetensors.torch import load_file

        folder = Path(self._get_load_path())
        verify(folder)
        opentad = folder / OPENTAD
        return PublicWeights(
            dict(load_file(folder / MODEL)),
            json.loads((folder / CONFIG).read_text(encoding="utf-8")),
            torch.load(opentad, map_location="cpu", weights_only=True)
            if opentad.is_file()
            else None,
        )

    def save(self, data: PublicWeights) -> None:
        """Write the folder as a whole."""
        import torch
        from safetensors.torch import save_file

        with sealed_write(Path(self._get_save_path()), self.origins) as temporary:
            (temporary / MODEL).parent.mkdir(parents=True)
            save_file(data.transformers, temporary / MODEL, metadata={"format": "pt"})
            text = json.dumps(data.config, indent=2, allow_nan=False)
            (temporary / CONFIG).write_text(text + "\n", encoding="utf-8")
            if data.opentad is not None:
                with (temporary / OPENTAD).open("wb") as file:  # by its name the archive would
                    torch.save(data.opentad, file)  # differ each time
