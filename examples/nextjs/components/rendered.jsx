/** When this page was rendered, and from which version of the data: what tells a stored page from a new one. */
export function Rendered({ at, version }) {
  return (
    <footer>
      <p>{`Rendered ${at} from data version ${version}.`}</p>
    </footer>
  );
}
