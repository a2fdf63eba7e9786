"""From a folder of videos and a file of annotations to an environment: look, choose, write."""
